"""Entries of a jar: read one, or set some and keep every other byte of the file.

Source of the format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from aws_setup.errors import Refused

ENTRY_LIMIT = 1024 * 1024
"""Bytes of the largest entry that is read: configuration files have a few thousand."""

SIGNATURE_FILE = re.compile(r"META-INF/[^/]+\.(SF|RSA|DSA|EC)", re.IGNORECASE)
"""Entries of a signed jar; the JVM rejects one whose other entries were changed."""

LOCAL, CENTRAL, END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), b"PK\x05\x06"
DESCRIPTOR = b"PK\x07\x08"
HAS_DESCRIPTOR, ENCRYPTED = 1 << 3, 1 << 0
BLOCK = 65535
"""Bytes of the largest block of a deflate stream that is stored without compression."""

EPOCH = 1 << 5 | 1
"""The date of added entries, which depends on nothing: 1 January 1980, the first of the format."""

MOST_ENTRIES = 0xFFFF
"""Number of entries from which an archive needs ZIP64."""

_DAMAGED = (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError)
"""What zipfile raises for a damaged archive: a ValueError for an offset that is negative."""

REBUILD = "build the jar with the right configuration, or with the JDK's jar tool"


@dataclass(frozen=True)
class JarEntry:
    """An entry of the archive: its record's offset in the central directory, and its data.

    `start` and `end` are the file offsets from its local header to the end of its data and data
    descriptor; `header` is the length of the local header with name and extra fields.
    """

    name: str
    record: int
    offset: int
    start: int
    end: int
    header: int


def names(file: BinaryIO, *, source: str) -> list[str]:
    """Return the names of all entries, in the archive's order.

    Raises:
        Refused: it is no zip file.
    """
    with _opened(file, source) as archive:
        return archive.namelist()


def read(file: BinaryIO, name: str, *, source: str) -> bytes | None:
    """Return the content of an entry, None when there is no such entry.

    Raises:
        Refused: the entry exists twice, is damaged, encrypted, or larger than ENTRY_LIMIT.
    """
    with _opened(file, source) as archive:
        found = [info for info in archive.infolist() if info.filename == name]
        if not found:
            return None
        if len(found) > 1:
            _refuse(source, f"the entry {name} exists {len(found)} times", REBUILD)
        if found[0].file_size > ENTRY_LIMIT:
            _refuse(source, f"the entry {name} is larger than 1 MiB", REBUILD)
        try:
            with archive.open(found[0]) as entry:
                return entry.read(ENTRY_LIMIT)
        except (*_DAMAGED, RuntimeError, zlib.error) as error:
            _refuse(source, f"the entry {name} cannot be read: {error}", REBUILD)


def check_unsigned(data: bytes, *, source: str) -> None:
    """Raise Refused when the jar is signed: a changed entry would make its signature invalid."""
    for name in names(io.BytesIO(data), source=source):
        if SIGNATURE_FILE.fullmatch(name):
            why = f"the jar is signed ({name}), and the JVM rejects a changed entry"
            _refuse(source, why, "use an unsigned jar, or set the configuration when you build it")


def with_entries(data: bytes, contents: Mapping[str, bytes], *, source: str) -> bytes:
    """Return the archive with these contents: entries are replaced or added, the rest is copied.

    Every other entry keeps its bytes, order, times and compression, and so do the replaced ones
    but for their data; added ones are the last. The result depends on nothing but the arguments:
    no compression library is used, as its output depends on its version.

    Raises:
        Refused: the archive is signed, encrypted, damaged, or uses ZIP64.
    """
    check_unsigned(data, source=source)
    try:
        return _with_entries(data, contents, source)
    except struct.error as error:  # sizes or offsets that are not those of the entries
        _refuse(source, f"the directory of the archive is damaged: {error}", REBUILD)


def _with_entries(data: bytes, contents: Mapping[str, bytes], source: str) -> bytes:
    end, directory = _directory(data, source)
    entries = list(_entries(data, directory, end, source))
    changed = {entry.name: entry for entry in entries if entry.name in contents}
    pieces: list[bytes] = []
    shifts: list[tuple[int, int]] = []
    records = bytearray(data[directory:end])
    position = shift = 0
    for entry in sorted(changed.values(), key=lambda item: item.start):
        new = _local_entry(data, entry, contents[entry.name], source)
        pieces += [data[position : entry.start], new]
        position = entry.end
        shift += len(new) - (entry.end - entry.start)
        shifts.append((entry.start, shift))
        _update_record(records, entry.record - directory, contents[entry.name], new, entry.header)
    for entry in entries:
        moved = max(((at, by) for at, by in shifts if at < entry.start), default=(0, 0))[1]
        struct.pack_into("<I", records, entry.record - directory + 42, entry.offset + moved)
    pieces.append(data[position:directory])
    added = contents.keys() - changed.keys()
    at = struct.unpack_from("<I", data, end + 16)[0] + shift
    for name in sorted(added):
        local, record = _new_entry(name, contents[name], at)
        pieces.append(local)
        records += record
        at += len(local)
    number = len(entries) + len(added)
    if number >= MOST_ENTRIES:
        _refuse(source, "with another entry the archive would need ZIP64", REBUILD)
    tail = bytearray(data[end:])
    struct.pack_into("<2H2I", tail, 8, number, number, len(records), at)
    return b"".join([*pieces, records, tail])


def _new_entry(name: str, content: bytes, offset: int) -> tuple[bytes, bytes]:
    """Return an uncompressed entry with its local header, and its record in the directory."""
    raw, size = name.encode("ascii"), len(content)
    sums = (zlib.crc32(content), size, size)
    version, length = 20, len(raw)
    fields = (0, zipfile.ZIP_STORED, 0, EPOCH)
    local = LOCAL.pack(b"PK\x03\x04", version, *fields, *sums, length, 0)
    record = CENTRAL.pack(
        b"PK\x01\x02", version, version, *fields, *sums, length, 0, 0, 0, 0, 0, offset
    )
    return local + raw + content, record + raw


def _opened(file: BinaryIO, source: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGED as error:
        raise Refused(
            f"{source} is not a jar", f"it is no zip file: {error}", "build or copy it again"
        ) from error


def _directory(data: bytes, source: str) -> tuple[int, int]:
    """Return the offsets of the end record and of the central directory before it."""
    end = data.rfind(END)
    size, offset, comment = struct.unpack_from("<2IH", data, end + 12)
    if end + 22 + comment != len(data):
        _refuse(source, "the archive does not end with its directory", REBUILD)
    if 0xFFFFFFFF in (size, offset) or data[end - 20 : end - 16] == b"PK\x06\x07":
        _refuse(source, "the archive uses ZIP64", REBUILD)
    return end, end - size


def _entries(data: bytes, directory: int, end: int, source: str) -> Iterator[JarEntry]:
    """Yield the entries of the central directory, in its order."""
    prefix = directory - struct.unpack_from("<I", data, end + 16)[0]
    at = directory
    while at < end and data[at : at + 4] == b"PK\x01\x02":
        fields = CENTRAL.unpack_from(data, at)
        flags, crc, size, lengths = fields[3], fields[7], fields[8], fields[10:13]
        raw = data[at + CENTRAL.size : at + CENTRAL.size + lengths[0]]
        name = raw.decode("utf-8" if flags & 1 << 11 else "cp437")
        start = prefix + fields[16]
        if data[start : start + 4] != b"PK\x03\x04":
            _refuse(source, f"the local header of {name} is not where the directory says", REBUILD)
        local = LOCAL.unpack_from(data, start)
        header = LOCAL.size + local[9] + local[10]
        stop = start + header + size
        if flags & HAS_DESCRIPTOR:
            stop = _descriptor_end(data, stop, crc)
        yield JarEntry(name, at, fields[16], start, stop, header)
        at += CENTRAL.size + sum(lengths)


def _descriptor_end(data: bytes, at: int, crc: int) -> int:
    """Return the end of the data descriptor at an offset; its signature is optional."""
    signed = data[at : at + 4] == DESCRIPTOR
    return at + (16 if signed and struct.unpack_from("<I", data, at + 4)[0] == crc else 12)


def _local_entry(data: bytes, entry: JarEntry, content: bytes, source: str) -> bytes:
    """Return a local header with its data: sizes and checksum in the header, no descriptor."""
    header = bytearray(data[entry.start : entry.start + entry.header])
    flags, method = struct.unpack_from("<2H", header, 6)
    if flags & ENCRYPTED or method not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        _refuse(source, f"the entry {entry.name} is encrypted or compressed unusually", REBUILD)
    body = content if method == zipfile.ZIP_STORED else _stored_blocks(content)
    struct.pack_into("<H", header, 6, flags & ~HAS_DESCRIPTOR)
    struct.pack_into("<3I", header, 14, zlib.crc32(content), len(body), len(content))
    return bytes(header) + body


def _update_record(records: bytearray, at: int, content: bytes, new: bytes, header: int) -> None:
    flags = struct.unpack_from("<H", records, at + 8)[0]
    struct.pack_into("<H", records, at + 8, flags & ~HAS_DESCRIPTOR)
    sizes = (len(new) - header, len(content))
    struct.pack_into("<3I", records, at + 16, zlib.crc32(content), *sizes)


def _stored_blocks(content: bytes) -> bytes:
    """Return a deflate stream (RFC 1951, 3.2.4) whose blocks are not compressed."""
    pieces = []
    blocks = [content[at : at + BLOCK] for at in range(0, len(content), BLOCK)] or [b""]
    for number, block in enumerate(blocks, 1):
        last = number == len(blocks)
        pieces.append(struct.pack("<B2H", last, len(block), len(block) ^ 0xFFFF) + block)
    return b"".join(pieces)


def _refuse(source: str, why: str, hint: str) -> NoReturn:
    raise Refused(f"{source} cannot be configured", why, hint)
