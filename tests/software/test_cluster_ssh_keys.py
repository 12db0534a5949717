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
    private = (tmp_path / "ssh" / "id_rsa").read_text()
    assert private.startswith("-----BEGIN RSA PRIVATE KEY-----")
    again = begin(tmp_path / "ssh")
    assert (again.communicate()[0], again.returncode) == ("", 0)
    assert (tmp_path / "ssh" / "id_rsa.pub").read_text() == public
    assert sorted(path.name for path in (tmp_path / "ssh").iterdir()) == ["id_rsa", "id_rsa.pub"]


@needs_programs
def test_a_key_that_an_earlier_version_generated_becomes_one_that_java_reads(
    tmp_path: Path,
) -> None:
    """λFS's benchmark logs in with JSch 0.1.55, which reads PEM and not OpenSSH's own format."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    key, public = folder / "id_rsa", folder / "id_rsa.pub"
    options = ("-m", "RFC4716", "-N", "", "-C", "lambda-fs:test")
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", *options, "-f", str(key)], check=True)
    assert "BEGIN OPENSSH" in key.read_text()
    before = public.read_text()
    for _ in range(2):
        running = begin(folder)
        assert (running.communicate()[0], running.returncode) == ("", 0)
        assert key.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
        assert public.read_text() == before
        assert key.stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in folder.iterdir()) == ["id_rsa", "id_rsa.pub"]
