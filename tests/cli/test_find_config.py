"""Which configuration file a script uses, and what it says where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aws_setup.cli.main import find_config
from aws_setup.config import load_config
from aws_setup.errors import Problem, Refused


def refusal(path: str | None, folder: Path) -> Problem:
    with pytest.raises(Refused) as caught:
        find_config(path, folder)
    return caught.value.problems[0]


def test_in_the_folder_of_the_scripts_the_missing_file_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = refusal(None, tmp_path)
    assert problem.why == f"there is no {tmp_path / 'config_aws.yaml'}"
    assert "placeholders" in problem.hint


def test_elsewhere_both_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "scripts"
    monkeypatch.chdir(tmp_path)
    here, there = tmp_path / "config_aws.yaml", scripts / "config_aws.yaml"
    assert refusal(None, scripts).why == f"there is no {here} and no {there}"


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    assert refusal(str(tmp_path), tmp_path).why == f"{tmp_path} is a folder"


def test_the_fix_of_a_wrong_path_is_not_to_give_one(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "none.yaml"), tmp_path).hint.startswith("correct the path of -y")


def test_a_file_of_another_folder_is_named_without_a_detour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.yaml").write_text("ssh_keypair_name: k\nssh_key_path: k.pem\n")
    monkeypatch.chdir(tmp_path / "work")
    missing = refusal("../other/none.yaml", tmp_path)
    assert missing.why == f"there is no {tmp_path / 'other' / 'none.yaml'}"
    config = load_config(find_config("../other/c.yaml", tmp_path))
    assert config.infrastructure_json_path == str(tmp_path / "other" / "infrastructure_json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_what_is_neither_file_nor_folder_is_called_what_it_is(tmp_path: Path) -> None:
    """As `-y <(...)` of a shell, and /dev/stdin in a pipe."""
    pipe = tmp_path / "config.yaml"
    os.mkfifo(pipe)
    with pytest.raises(Refused) as caught:
        load_config(find_config(str(pipe), tmp_path))
    assert "it is a named pipe, not a file" in str(caught.value)
