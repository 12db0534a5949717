"""Reads the body of a PUT without storing its code: returns its JSON and a hash of the code."""

from __future__ import annotations

import binascii
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

BLOCK = 256 * 1024
HEAD_LIMIT = 64 * 1024
"""Bytes within which the code must begin, with one block more."""

FILES = ("hdfs-site.xml", "ndb-config.properties")
"""The files of a jar that are kept: of these a NameNode reads the first one only."""

CODE = re.compile(rb'"code"\s*:\s*"')


class MalformedError(Exception):
    """The body is not the JSON of a PUT."""


class ReadableStream(Protocol):
    """The source of a body."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b'' at the end."""


@dataclass(frozen=True)
class PutBody:
    """The JSON of a PUT with empty code, the length of the code, and the SHA-256 of the jar.

    `files` are the configuration files in the jar, if they were to be kept.
    """

    document: dict[str, Any]
    code_length: int = 0
    sha256: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


def blocks(source: ReadableStream, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of `source` in blocks; raises MalformedError when it ends early."""
    while length:
        block = source.read(min(BLOCK, length))
        if not block:
            raise MalformedError("the connection ended within the body")
        length -= len(block)
        yield block


def read_put(source: ReadableStream, length: int, *, keep_files: bool = False) -> PutBody:
    """Return the PUT of a body of `length` bytes; with `keep_files` read the jar's files, too."""
    incoming = blocks(source, length)
    head, rest = _head(incoming)
    jar = io.BytesIO() if keep_files else None
    code = _Code(jar)
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
    if not code.length:
        return PutBody(document)
    files = configuration_files(jar) if jar else {}
    return PutBody(document, code.length, code.digest.hexdigest(), files)


def configuration_files(jar: BinaryIO) -> dict[str, bytes]:
    """Return the configuration files at the root of a jar; none where it is no jar."""
    try:
        with zipfile.ZipFile(jar) as archive:
            return {name: archive.read(name) for name in FILES if name in archive.namelist()}
    except zipfile.BadZipFile:
        return {}


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
    """Hashes base64 code block by block, four characters at a time, and copies it into `jar`."""

    def __init__(self, jar: BinaryIO | None) -> None:
        self.length, self.digest, self._left = 0, hashlib.sha256(), b""
        self._jar = jar

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
            decoded = binascii.a2b_base64(piece[:whole], strict_mode=True)
        except binascii.Error as error:
            raise MalformedError(f"the code is no base64: {error}") from error
        self.digest.update(decoded)
        if self._jar:
            self._jar.write(decoded)
        return None if end < 0 else block[end:][1:]
