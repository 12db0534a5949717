"""Jars: replaced entries, and that every other byte of the file is kept."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest

from aws_setup.errors import Refused
from aws_setup.namenodes import jar_archive

SITE, CLASS = "hdfs-site.xml", "a/B.class"
TIME = (2023, 4, 5, 6, 7, 8)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Unseekable(io.BytesIO):
    """A stream for which the writer needs data descriptors, as Java's jar tool writes them."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError


def archive(
    *entries: tuple[str, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    stream: io.BytesIO | None = None,
) -> bytes:
    """Return a jar with these entries."""
    file = stream or io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as written:
        written.comment = b"built by a test"
        for name, content in entries:
            info = zipfile.ZipInfo(name, TIME)
            info.compress_type, info.extra = method, b"\xfe\xca\0\0"
            written.writestr(info, content)
    return file.getvalue()


def infos(data: bytes) -> Iterator[tuple[object, ...]]:
    """Yield what an archive says of each entry, without sizes, offsets and checksum."""
    for info in zipfile.ZipFile(io.BytesIO(data)).infolist():
        yield info.filename, info.date_time, info.compress_type, info.extra, info.external_attr


ENTRIES = ((CLASS, b"\xca\xfe" * 500), (SITE, b"<configuration/>"), ("z", b"last" * 99))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stream", [io.BytesIO, Unseekable])
@pytest.mark.parametrize("content", [b"", b"x", b"<configuration>long</configuration>" * 9000])
def test_only_the_named_entry_changes(
    method: int, stream: type[io.BytesIO], content: bytes
) -> None:
    data = archive(*ENTRIES, method=method, stream=stream())
    copy = jar_archive.with_entries(data, {SITE: content}, source="nn.jar")
    read = zipfile.ZipFile(io.BytesIO(copy))
    assert read.testzip() is None
    assert read.comment == b"built by a test"
    assert read.read(SITE) == content
    assert list(infos(copy)) == list(infos(data))
    for name in (CLASS, "z"):
        assert raw(copy, name) == raw(data, name)
    assert copy == jar_archive.with_entries(data, {SITE: content}, source="nn.jar")


def raw(data: bytes, name: str) -> bytes:
    """Return the bytes of an entry from its local header up to the next one's."""
    listed = sorted(zipfile.ZipFile(io.BytesIO(data)).infolist(), key=lambda i: i.header_offset)
    starts = [info.header_offset for info in listed] + [data.index(b"PK\x01\x02")]
    index = [info.filename for info in listed].index(name)
    return data[starts[index] : starts[index + 1]]


def test_several_entries_and_a_leading_script_are_kept() -> None:
    script = b"#!/bin/sh\nexec java -jar $0\n"
    data = script + archive(*ENTRIES)
    copy = jar_archive.with_entries(data, {SITE: b"a" * 70000, "z": b""}, source="nn.jar")
    assert copy.startswith(script)
    read = zipfile.ZipFile(io.BytesIO(copy))
    assert (read.read(SITE), read.read("z"), read.read(CLASS)) == (
        b"a" * 70000,
        b"",
        b"\xca\xfe" * 500,
    )


@pytest.mark.parametrize("stream", [io.BytesIO, Unseekable])
def test_a_missing_entry_is_added_behind_all_others(stream: type[io.BytesIO]) -> None:
    script = b"#!/bin/sh\nexec java -jar $0\n"
    data = script + archive(ENTRIES[0], ENTRIES[2], stream=stream())
    contents = {SITE: b"<configuration/>", "a/Another.txt": b""}
    copy = jar_archive.with_entries(data, contents, source="nn.jar")
    read = zipfile.ZipFile(io.BytesIO(copy))
    assert read.testzip() is None
    assert read.namelist() == [CLASS, "z", "a/Another.txt", SITE]
    assert (read.read(SITE), read.comment) == (b"<configuration/>", b"built by a test")
    assert read.read("z") == ENTRIES[2][1]
    assert list(infos(copy))[:2] == list(infos(data))
    assert jar_archive.with_entries(copy, contents, source="nn.jar") == copy


def test_a_copy_of_a_copy_with_the_same_content_is_the_same() -> None:
    data = archive(*ENTRIES)
    copy = jar_archive.with_entries(data, {SITE: b"new"}, source="nn.jar")
    assert jar_archive.with_entries(copy, {SITE: b"new"}, source="nn.jar") == copy


def test_the_copy_is_the_same_in_another_process() -> None:
    data = archive(*ENTRIES)
    program = (
        "import sys; from aws_setup.namenodes import jar_archive as j;"
        "sys.stdout.buffer.write(j.with_entries(sys.stdin.buffer.read(), {'hdfs-site.xml': b'new'},"
        "source=''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True
    )
    assert done.stdout == jar_archive.with_entries(data, {SITE: b"new"}, source="")


@pytest.mark.parametrize("name", ["META-INF/KEY.SF", "meta-inf/a.rsa", "META-INF/B.DSA"])
def test_a_signed_jar_is_refused(name: str) -> None:
    data = archive(*ENTRIES, (name, b"Signature-Version: 1.0"))
    with pytest.raises(Refused, match=r"nn\.jar.*signed"):
        jar_archive.with_entries(data, {SITE: b"new"}, source="nn.jar")


def test_an_entry_that_exists_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = archive(*ENTRIES, (SITE, b"<other/>"))
    with pytest.raises(Refused, match="exists 2 times"):
        jar_archive.read(io.BytesIO(data), SITE, source="nn.jar")


def test_missing_damaged_and_huge_entries() -> None:
    data = archive(*ENTRIES, method=zipfile.ZIP_STORED)
    assert jar_archive.read(io.BytesIO(data), "ndb-config.properties", source="nn.jar") is None
    damaged = data.replace(b"<configuration/>", b"<configuratioN/>")
    with pytest.raises(Refused, match=r"hdfs-site\.xml cannot be read"):
        jar_archive.read(io.BytesIO(damaged), SITE, source="nn.jar")
    huge = archive((SITE, bytes(jar_archive.ENTRY_LIMIT + 1)))
    with pytest.raises(Refused, match="larger than 1 MiB"):
        jar_archive.read(io.BytesIO(huge), SITE, source="nn.jar")
    with pytest.raises(Refused, match="is not a jar"):
        jar_archive.read(io.BytesIO(b"no zip"), SITE, source="nn.jar")


def test_an_archive_with_zip64_records_is_refused() -> None:
    data = archive(*ENTRIES)
    end = data.rindex(jar_archive.END)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(Refused):
        jar_archive.with_entries(data[:end] + locator + data[end:], {SITE: b""}, source="nn.jar")


@pytest.mark.kind("C7")
@pytest.mark.parametrize("field", [20, 24, 42])
def test_a_directory_with_wrong_sizes_or_offsets_raises_nothing_else(field: int) -> None:
    """Of the first record: the compressed size, the size, and the offset of the entry."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in (b"hdfs-site.xml", b"a/Main.class"):
            made.writestr(name.decode(), b"x" * 40)
    data = file.getvalue()
    for wrong in (0, 277, 0x7FFF_FFFF, 0xFFFF_FFF0):
        damaged = bytearray(data)
        struct.pack_into("<I", damaged, data.index(b"PK\x01\x02") + field, wrong)
        with contextlib.suppress(Refused):
            jar_archive.with_entries(bytes(damaged), {"hdfs-site.xml": b"<x/>"}, source="j")
