"""Decoding of what others can write: files, and answers of programs and servers.

Whatever the bytes are, the outcome is a value or one kind of error, which the caller turns into a
sentence with the file and the fix.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aws_setup.config.regular_files import read_file
from aws_setup.engine.safe_text import shorten
from aws_setup.errors import SetupError

TEXT_LIMIT = 16 * 1024 * 1024
"""Bytes of a text file that are read."""


class Undecodable(ValueError):
    """The bytes are not what they should be; the text says why."""


SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What Python raises where a value has another form or type than the code expects."""

MAX_DIGITS = 18
"""Digits of a number; Python refuses to read one with more than 4300."""


@contextmanager
def decoding(what: str, hint: str, *, kind: type[SetupError] = SetupError) -> Iterator[None]:
    """Turn every way in which the block cannot make sense of its input into one kind of error.

    Args:
        what: names the input, as in "the answer of the server cannot be used".
        hint: the fix.
        kind: the class of the error.

    Raises:
        SetupError: of the class `kind`; its cause quotes Python's message.
    """
    try:
        yield
    except Undecodable as error:
        raise kind(what, str(error), hint) from None
    except SHAPE_ERRORS as error:
        why = shorten(f"{type(error).__name__} {error}", 200)
        raise kind(what, f"it does not have the expected form ({why})", hint) from error


def whole_number(text: str) -> int | None:
    """Return a number of decimal digits; None for any other text.

    str.isdigit is true for digits that int() refuses, such as those of exponents.
    """
    text = text.strip()
    usable = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if usable else None


def json_of(data: bytes | str) -> Any:
    """Return the value of a JSON document.

    Raises:
        Undecodable: it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise Undecodable("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise Undecodable("it is not UTF-8") from None
    except ValueError as error:
        raise Undecodable(f"it is not JSON: {error}") from None


def json_object(data: bytes | str) -> dict[str, Any]:
    """Return the object of a JSON document.

    Raises:
        Undecodable: as `json_of`, or it is not an object.
    """
    value = json_of(data)
    if not isinstance(value, dict):
        raise Undecodable("it is not a JSON object")
    return value


def text_of(data: bytes) -> str:
    """Return bytes as text, without a byte order mark.

    Raises:
        Undecodable: they are not UTF-8; the text names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Undecodable(f"line {line} is not UTF-8") from None


def read_text(path: Path, *, what: str, hint: str, kind: type[SetupError] = SetupError) -> str:
    """Return the text of a file.

    Args:
        path: the file.
        what: what the error calls it, as in "the OpenSSH configuration".
        hint: the fix.
        kind: the class of the error.

    Raises:
        FileNotFoundError: there is none.
        SetupError: of the class `kind`: it cannot be read, or is no text.
    """
    try:
        return text_of(read_bytes(path, what=what, hint=hint, kind=kind))
    except Undecodable as error:
        raise kind(f"{what} {path} cannot be used", str(error), hint) from None


def read_bytes(path: Path, *, what: str, hint: str, kind: type[SetupError] = SetupError) -> bytes:
    """Return the bytes of a file; the arguments are those of `read_text`.

    Raises:
        FileNotFoundError: there is none.
        SetupError: of the class `kind`: it cannot be read, or is longer than TEXT_LIMIT.
    """
    try:
        data = read_file(path, most=TEXT_LIMIT + 1)
        if len(data) <= TEXT_LIMIT:
            return data
        why = f"it is longer than {TEXT_LIMIT // (1024 * 1024)} MB"
        raise kind(f"{what} {path} cannot be used", why, hint)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise kind(f"{what} {path} cannot be read", why, hint) from None
