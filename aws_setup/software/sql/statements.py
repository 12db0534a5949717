"""Splitting an SQL script into statements, as the mysql client does."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`)
    |(?P<comment>--(?=\s|$)[^\n]*|\#[^\n]*|/\*(?!!).*?\*/)
    |(?P<special>/\*!.*?\*/)
    """,
    re.VERBOSE | re.DOTALL,
)
_DELIMITER = re.compile(r"[ \t]*delimiter[ \t]+(\S+)[^\n]*(?:\n|$)", re.IGNORECASE)
_CONTEXT = re.compile(r"(?:/\*!\d*\s*)?(?:USE|SET)\b", re.IGNORECASE)
_SECRET = re.compile(r"\b(IDENTIFIED|PASSWORD)\b.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One statement without its delimiter, and the line of the script where it starts.

    A `context` statement (USE, SET) changes only the session, so that every session needs it.
    """

    text: str
    line: int

    @property
    def context(self) -> bool:
        """Tell whether it changes only the session."""
        return _CONTEXT.match(self.text) is not None

    @property
    def secret(self) -> bool:
        """Tell whether it may contain a password."""
        return _SECRET.search(self.text) is not None

    @property
    def start(self) -> str:
        """The first 60 characters, for messages; never a password."""
        words = " ".join(_SECRET.sub(r"\1 …", self.text).split())
        return words if len(words) <= 60 else f"{words[:60]}…"


def split(script: str) -> list[Statement]:
    """Return the statements of a script in their order, without comments between them."""
    return list(_statements(script.replace("\r\n", "\n")))


def digest(statements: Sequence[Statement]) -> str:
    """Return the SHA-256 of some statements, in hexadecimal; comments have no effect."""
    text = "\0".join(statement.text for statement in statements)
    return hashlib.sha256(text.encode()).hexdigest()


def _statements(script: str) -> Iterator[Statement]:
    delimiter, position, start = ";", 0, 0
    text: list[str] = []
    while position < len(script):
        blank = not "".join(text).strip()
        command = (
            _DELIMITER.match(script, position)
            if blank and _at_line_start(script, position)
            else None
        )
        if command:
            delimiter, position, text = command[1], command.end(), []
        elif token := _TOKEN.match(script, position):
            if token["comment"] is None:
                start = position if blank else start
                text.append(token[0])
            else:
                text.append(" ")
            position = token.end()
        elif script.startswith(delimiter, position):
            if not blank:
                yield _statement(script, text, start)
            text, position = [], position + len(delimiter)
        else:
            start = position if blank else start
            text.append(script[position])
            position += 1
    if "".join(text).strip():
        yield _statement(script, text, start)


def _at_line_start(script: str, position: int) -> bool:
    return position == 0 or script[position - 1] == "\n"


def _statement(script: str, text: list[str], start: int) -> Statement:
    return Statement("".join(text).strip(), script.count("\n", 0, start) + 1)
