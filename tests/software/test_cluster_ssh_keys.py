"""The key of a client VM is generated once, also when its command is sent again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from aws_setup.software.client_keys import GENERATE_KEY

needs_programs = pytest.mark.skipif(
    not shutil.which("flock") or not shutil.which("ssh-keygen"), reason="needs flock, ssh-keygen"
)


def begin(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", "-c", GENERATE_KEY, "sh", str(folder), "lambda-fs:test"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@needs_programs
def test_a_command_that_is_sent_again_while_it_runs_generates_one_key(tmp_path: Path) -> None:
    running = [begin(tmp_path / "ssh") for _ in range(4)]
    assert [(process.communicate()[0], process.returncode) for process in running] == [("", 0)] * 4
    public = (tmp_path / "ssh" / "id_rsa.pub").read_text()
    assert public.endswith("lambda-fs:test\n")
    again = begin(tmp_path / "ssh")
    assert (again.communicate()[0], again.returncode) == ("", 0)
    assert (tmp_path / "ssh" / "id_rsa.pub").read_text() == public
    assert sorted(path.name for path in (tmp_path / "ssh").iterdir()) == ["id_rsa", "id_rsa.pub"]
