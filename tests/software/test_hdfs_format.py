"""The error line of hdfs, and the names of the formatting steps."""

from __future__ import annotations

import pytest

from aws_setup.software.hdfs_format import HOPS_FS, LAMBDA_FS, error_line


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", "it printed nothing"),
        ("starting\nend of log\n\n", "end of log"),
        (
            "java.io.IOException: no storage\n\tat x.y(Z)\nSHUTDOWN\n",
            "java.io.IOException: no storage",
        ),
        ("ERROR first\nFATAL second\nbye\n", "FATAL second"),
        ("ERROR too early\n" + "line\n" * 12, "line"),
    ],
)
def test_the_last_error_near_the_end_is_shown(log: str, line: str) -> None:
    assert error_line(log) == line


def test_each_file_system_has_its_own_step_client_and_release() -> None:
    assert (LAMBDA_FS.step, HOPS_FS.step) == ("lambda-fs format", "hopsfs format")
    assert LAMBDA_FS.hdfs != HOPS_FS.hdfs
