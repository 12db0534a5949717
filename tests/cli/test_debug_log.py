"""The debug log where its disk is full: one warning, and the run goes on."""

from __future__ import annotations

import errno
import io
import logging
import os
from pathlib import Path

import pytest

from aws_setup.cli.debug_log import incomplete_log, log_to_file
from aws_setup.cli.main import _log_to_stderr
from aws_setup.config import Config
from aws_setup.ssh import PROTOCOL_LOG


class FullDisk(io.StringIO):
    """A file on a disk without free space."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_ends_the_log_with_one_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = Config(
        ssh_keypair_name="k", ssh_key_path="k", infrastructure_json_path=str(tmp_path / "records")
    )
    log_to_file(config)
    log = logging.getLogger("aws_setup")
    log.debug("first")
    assert incomplete_log() == []
    [handler] = [item for item in log.handlers if isinstance(item, logging.FileHandler)]
    handler.close()
    handler.stream = FullDisk()  # type: ignore[assignment]
    for number in range(3):
        log.debug("record %d", number)
    [problem] = incomplete_log()
    assert f"lambda-fs.log: {os.strerror(errno.ENOSPC)}" in problem.why
    assert capfd.readouterr().err == "", "no traceback of logging"
    log.removeHandler(handler)


def test_verbose_shows_the_log_without_that_of_sshs_protocol(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its 250 lines stood between the rows that -v lists."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    _log_to_stderr()
    logging.getLogger("aws_setup.ssh.pool").warning("a request")
    logging.getLogger(PROTOCOL_LOG).warning("kex algos: curve25519-sha256")
    shown = capsys.readouterr().err
    assert "a request" in shown
    assert "kex" not in shown
