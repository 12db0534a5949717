"""The debug log where its disk is full: one warning, and the run goes on."""

from __future__ import annotations

import errno
import io
import logging
import os
from pathlib import Path

import pytest

from aws_setup.cli.debug_log import incomplete_log, log_to_file
from aws_setup.config import Config


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
