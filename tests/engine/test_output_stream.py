"""An output that cannot be written ends no run; its error is told unless its reader has gone."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from aws_setup.engine.output_stream import (
    OutputStream,
    make_readable,
    open_missing,
    reader_has_gone,
    unwritten,
)


class FullDisk(io.StringIO):
    """A file on a disk that is full from the second text on."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)


def test_a_full_disk_is_told_and_ends_nothing() -> None:
    disk = FullDisk()
    stream = OutputStream(disk)
    assert [stream.write("plan\n"), stream.write("vpc\n")] == [5, 4]
    stream.flush()
    assert disk.getvalue() == "plan\n"
    assert stream.error
    problem = unwritten(stream.error)
    assert problem.why == os.strerror(errno.ENOSPC)
    assert problem.hint.startswith("free space")


def test_a_reader_that_has_gone_wanted_no_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        stream = OutputStream(pipe)
        for _ in range(2):
            stream.write("x" * 100_000)
            stream.flush()
    assert stream.error is None


@pytest.mark.parametrize(
    ("code", "windows", "gone"),
    [
        (errno.EPIPE, False, True),
        (errno.EPIPE, True, True),
        (errno.EINVAL, True, True),
        (errno.EINVAL, False, False),
        (errno.ENOSPC, True, False),
    ],
)
def test_windows_has_another_error_of_a_reader_that_has_gone(
    code: int, windows: bool, gone: bool
) -> None:
    assert reader_has_gone(OSError(code, os.strerror(code)), windows=windows) == gone


def test_what_else_a_stream_has_is_its_own() -> None:
    stream = OutputStream(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert (stream.encoding, stream.isatty()) == ("latin-1", False)


def test_an_encoding_without_a_character_gets_a_similar_one() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    make_readable(stream)
    stream.write("λFS: r5.4xlarge × 3, arn:aws… ━━━ ü")
    stream.flush()
    assert raw.getvalue() == b"lambdaFS: r5.4xlarge x 3, arn:aws~ --- ?"


def test_a_closed_output_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    open_missing()
    with sys.stdout as opened:
        assert opened.write("plan") == 4
