"""Reads the body of a PUT without storing its code: returns its JSON and a hash of the code."""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

BLOCK = 256 * 1024
HEAD_LIMIT = 64 * 1024
"""Bytes within which the code must begin, with one block more."""

CODE = re.compile(rb'"code"\s*:\s*"')


class MalformedError(Exception):
    """The body is not the JSON of a PUT."""


class ReadableStream(Protocol):
    """The source of a body."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b'' at the end."""


@dataclass(frozen=True)
class PutBody:
    """The JSON of a PUT with empty code, the length of the code, and the SHA-256 of the jar."""

    document: dict[str, Any]
    code_length: int = 0
    sha256: str = ""


def blocks(source: ReadableStream, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of `source` in blocks; raises MalformedError when it ends early."""
    while length:
        block = source.read(min(BLOCK, length))
        if not block:
            raise MalformedError("the connection ended within the body")
        length -= len(block)
        yield block


def read_put(source: ReadableStream, length: int) -> PutBody:
    """Return the PUT of a body of `length` bytes."""
    incoming = blocks(source, length)
    head, rest = _head(incoming)
    code = _Code()
    tail: bytes | None = b""
    if rest is not None:
        tail = code.feed(rest) if rest else None
        while tail is None:
            tail = code.feed(next(incoming, b""))
        head += b'"'
    tail = (tail or b"") + b"".join(incoming)
    try:
        document = json.loads(head + tail)
    except ValueError as error:
        raise MalformedError(str(error)) from error
    if not isinstance(document, dict):
        raise MalformedError("no JSON object")
    return PutBody(document, code.length, code.digest.hexdigest() if code.length else "")


def _head(incoming: Iterator[bytes]) -> tuple[bytes, bytes | None]:
    """Return the text before the code, and the beginning of the code; None without code."""
    head = b""
    for block in incoming:
        head += block
        if match := CODE.search(head[: HEAD_LIMIT + BLOCK]):
            return head[: match.end()], head[match.end() :]
        if len(head) > HEAD_LIMIT + BLOCK:
            raise MalformedError("no code near the beginning of a large body")
    return head, None


class _Code:
    """Hashes base64 code block by block, four characters at a time."""

    def __init__(self) -> None:
        self.length, self.digest, self._left = 0, hashlib.sha256(), b""

    def feed(self, block: bytes) -> bytes | None:
        """Hash a block; returns the text after the code's closing quote, None before it."""
        if not block:
            raise MalformedError("the code has no end")
        end = block.find(b'"')
        piece = block if end < 0 else block[:end]
        self.length += len(piece)
        piece = self._left + piece
        whole = len(piece) // 4 * 4
        self._left = piece[whole:]
        try:
            self.digest.update(binascii.a2b_base64(piece[:whole], strict_mode=True))
        except binascii.Error as error:
            raise MalformedError(f"the code is no base64: {error}") from error
        return None if end < 0 else block[end:][1:]
