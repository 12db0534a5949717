"""The receipt: its document, what other scripts wrote in it, and that it is private."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.private_files import write_private
from aws_setup.engine.receipt import write_receipt
from aws_setup.engine.step import Found

HEAD = {"deployment_name": "lambda-fs"}
VPC = {"vpc": Found("vpc-1", "available", {"cidr": "10.0.0.0/16"})}


def steps(path: Path) -> dict[str, Any]:
    """Return the steps of a receipt."""
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["steps"]
    return read


def test_a_receipt_has_the_head_and_the_steps(tmp_path: Path) -> None:
    path = tmp_path / "new" / "receipt.json"
    write_receipt(path, HEAD, VPC | {"ndb": Found("", skipped="no NDB cluster")})
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "deployment_name": "lambda-fs",
        "steps": {
            "ndb": {"id": "", "state": "skipped: no NDB cluster"},
            "vpc": {"id": "vpc-1", "state": "available", "cidr": "10.0.0.0/16"},
        },
    }
    assert path.stat().st_mode & 0o077 == 0


def test_steps_of_another_script_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    write_receipt(path, HEAD, {"openwhisk": Found("release")})
    write_receipt(path, HEAD, VPC, known={"vpc", "subnet"})
    assert set(steps(path)) == {"openwhisk", "vpc"}
    write_receipt(path, HEAD, {}, known={"vpc", "subnet"})
    assert set(steps(path)) == {"openwhisk"}
    write_receipt(path, HEAD, VPC)
    assert set(steps(path)) == {"vpc"}


def test_a_receipt_without_steps_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    write_receipt(path, HEAD, VPC)
    write_receipt(path, HEAD, {}, known={"vpc"})
    assert not path.exists()
    write_receipt(path, HEAD, {})
    assert not path.exists()


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"steps": []}', '{"steps": null}'])
def test_a_damaged_receipt_is_replaced(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(damaged, encoding="utf-8")
    write_receipt(path, HEAD, VPC, known={"vpc"})
    assert set(steps(path)) == {"vpc"}


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    write_private(path, "before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, "after")
    assert path.read_text(encoding="utf-8") == "before"
    assert list(path.parent.iterdir()) == [path], "no temporary file is left"
