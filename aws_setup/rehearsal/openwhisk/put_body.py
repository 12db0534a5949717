"""Reads the body of a PUT without keeping its code: the rest is JSON, the code becomes a hash."""

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
"""Bytes within which the code must begin; a body without code must end within four times that."""

CODE = re.compile(rb'"code"\s*:\s*"')


class MalformedError(Exception):
    """The body is not the JSON that a PUT needs."""


class ReadableStream(Protocol):
    """Where a body comes from."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b'' at the end."""


@dataclass(frozen=True)
class PutBody:
    """A PUT's JSON with an empty code, and length and SHA-256 (of the jar) of the code."""

    document: dict[str, Any]
    code_length: int = 0
    sha256: str = ""


def blocks(source: ReadableStream, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of `source` block by block; raises MalformedError when it ends early."""
    while length:
        block = source.read(min(BLOCK, length))
        if not block:
            raise MalformedError("the connection ended within the body")
        length -= len(block)
        yield block


def read_put(source: ReadableStream, length: int) -> PutBody:
    """Return the PUT whose body of `length` bytes comes from `source`."""
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
    """Return what stands before the code, and the code's beginning; None when there is no code."""
    head = b""
    for block in incoming:
        head += block
        if match := CODE.search(head[: HEAD_LIMIT + BLOCK]):
            return head[: match.end()], head[match.end() :]
        if len(head) > HEAD_LIMIT + BLOCK:
            raise MalformedError("no code near the beginning of a large body")
    return head, None


class _Code:
    """Decodes base64 as it comes, four characters at a time, into a hash."""

    def __init__(self) -> None:
        self.length, self.digest, self._left = 0, hashlib.sha256(), b""

    def feed(self, block: bytes) -> bytes | None:
        """Take a block; return what follows the code once its closing quote came."""
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
