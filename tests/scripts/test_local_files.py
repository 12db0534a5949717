"""What stands in the place of the files on this computer: refused before, a warning afterwards."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config, paths
from aws_setup.config.loader import load_config
from aws_setup.config.paths import debug_log_path, kept_files, receipt_path
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import Ended, prepare, run

pytestmark = pytest.mark.kind("C7")

STAYS: tuple[Callable[[Config], Path], ...] = (
    paths.receipt_path,
    paths.events_path,
    paths.lock_path,
    paths.debug_log_path,
    paths.prices_path,
    *(partial(paths.format_log_path, step=step) for step in paths.FORMAT_STEPS),
)
"""Files that are kept after a destroy; the receipt has what the deployment has cost."""

ONE = ("--only", "vpc", "--yes", "--json")
"""The smallest deployment."""


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("mine")


def make_link(path: Path) -> None:
    path.symlink_to(path.parent / "none")


def make_link_to_a_folder(path: Path) -> None:
    path.symlink_to(path.parent.parent)


def make_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\x01" * 50)


PLACED: dict[str, Callable[[Path], Any]] = {
    "folder": make_folder,
    "named pipe": os.mkfifo,
    "dangling link": make_link,
    "link to a folder": make_link_to_a_folder,
    "binary file": make_binary,
}


def loaded(folder: Path) -> Config:
    return load_config(folder / "config_aws.yaml", environ=os.environ)


def place(folder: Path, state: str, *, log: bool = True) -> list[Path]:
    """Put something else in the place of each file of a deployment; return the paths."""
    config = loaded(folder)
    receipt_path(config).parent.mkdir(exist_ok=True)
    files = [kept.path for kept in kept_files(config)]
    if not log:
        files.remove(debug_log_path(config))
    for path in files:
        path.unlink(missing_ok=True)
        PLACED[state](path)
    return files


def says(ended: Ended, key: str, path: Path) -> list[dict[str, str]]:
    """Return the problems or warnings that name a path."""
    return [it for it in ended.document[key] if str(path) in it["what"] + it["why"] + it["hint"]]


@pytest.mark.parametrize("state", PLACED)
def test_destroy_deletes_all_of_aws_and_names_what_it_could_not_delete_here(
    cloud: RehearsalCloud, tmp_path: Path, state: str
) -> None:
    folder = prepare(tmp_path / "work")
    empty = cloud.snapshot()
    assert run(SCRIPT, folder, "create", *ONE).exit_code == 0
    files, config = place(folder, state), loaded(folder)
    ended = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert (ended.exit_code, ended.document["problems"]) == (0, []), ended.stdout
    assert cloud.snapshot() == empty
    stays = {path(config) for path in STAYS}
    for path in files:
        if state == "folder" and path not in stays:
            assert (path / "mine").is_file()
            warnings = says(ended, "warnings", path)
            assert any(f"`rm -r {path}`" in it["hint"] for it in warnings), path
        elif path not in stays:
            assert not os.path.lexists(path), path


@pytest.mark.parametrize("state", PLACED)
@pytest.mark.parametrize("verb", ["create", "plan"])
def test_create_refuses_what_it_cannot_use_before_it_makes_anything(
    cloud: RehearsalCloud, tmp_path: Path, verb: str, state: str
) -> None:
    folder = prepare(tmp_path / "work")
    files = place(folder, state, log=False)
    empty = cloud.snapshot()
    ended = run(SCRIPT, folder, verb, *ONE)
    assert cloud.snapshot() == empty
    assert ended.exit_code == 2, ended.stdout
    refused = [path for path in files if says(ended, "problems", path)]
    if state in ("folder", "named pipe"):
        assert refused == files
    for problem in ended.document["problems"]:
        assert problem["why"]
        assert problem["hint"].startswith("remove or rename it")


def test_the_check_knows_every_file_beside_the_receipt(tmp_path: Path) -> None:
    config = loaded_default(tmp_path)
    known = {kept.path for kept in kept_files(config)}
    for name, function in inspect.getmembers(paths, inspect.isfunction):
        if name.endswith("_path") and [*inspect.signature(function).parameters] == ["config"]:
            assert function(config) in known, name


def loaded_default(folder: Path) -> Config:
    return Config(
        ssh_keypair_name="k", ssh_key_path="/k", infrastructure_json_path=str(folder / "x")
    )
