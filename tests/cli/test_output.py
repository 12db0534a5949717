"""A run whose output is not read or cannot be written does its work, and says what was wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.preflight import only
from tests.support.scripts import prepare

SCRIPT = Path(__file__).resolve().parents[2] / "create_aws_infrastructure.py"

full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")


def test_a_create_whose_output_nobody_reads_goes_on(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", **only("create_lambda_fs_client_vm"))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(SCRIPT), "create", "--yes"]
    ended = subprocess.run(command, cwd=folder, stdout=writer, stderr=writer, check=False)
    os.close(writer)
    log = folder / "receipts" / "lambda-fs.events.jsonl"
    last = json.loads(log.read_text().splitlines()[-1])
    assert (ended.returncode, last["kind"], last["result"]) == (0, "end", "ok")


@full_device
@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 1), (["plan", "--json", "-y", "missing.yaml"], 2)]
)
def test_a_full_disk_is_named_without_a_traceback(
    tmp_path: Path, words: list[str], code: int
) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, str(SCRIPT), *words],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == code
    first, fix = ended.stderr.splitlines()
    assert first.startswith("error: the output cannot be written: ")
    assert "free space" in fix


@full_device
def test_what_succeeds_without_its_output_has_failed(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", **only("create_lambda_fs_client_vm"))
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, str(SCRIPT), "plan"],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert "error: the output cannot be written: " in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="closes a descriptor with sh")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_ends_nothing(tmp_path: Path, closed: str) -> None:
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, str(SCRIPT)]
    ended = subprocess.run(
        [*shell, "plan", "-y", "missing.yaml"], cwd=tmp_path, capture_output=True, check=False
    )
    assert ended.returncode == 2
    assert b"Traceback" not in ended.stderr
    assert ended.stdout == b""
