"""A profile and exported keys: whose credentials are used, as in the AWS CLI; it is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.config import file_warnings, load_config
from aws_setup.config.aws_variables import used_profile
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.cluster import lab
from tests.support.scripts import prepare, run

pytestmark = pytest.mark.kind("A6")

SANDBOX, WORK = "111122223333", "444455556666"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIASANDBOX000000000"}
WORK_KEY = "AKIAWORK000000000000"
PROFILES = f"""
[profile work]
aws_access_key_id = {WORK_KEY}
aws_secret_access_key = not-a-secret
"""


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a user whose shell has the keys of a sandbox, and who has a profile."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(PROFILES, encoding="utf-8")
    cloud.settings.accounts = {KEYS["AWS_ACCESS_KEY_ID"]: SANDBOX, WORK_KEY: WORK}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["AWS_ACCESS_KEY_ID"])
    return prepare(tmp_path / "work")


def planned(folder: Path, *options: str) -> tuple[str, list[str]]:
    """Return the account of a plan, and what its warnings say of identities."""
    ended = run(SCRIPT, folder, "plan", "--only", "vpc", "--json", *options)
    assert ended.exit_code == 0, ended.stdout
    said = [one for one in ended.document["warnings"] if " used, not the " in one["what"]]
    assert all(one["hint"] for one in said)
    return ended.document["account"], [one["what"] for one in said]


def test_exported_keys_come_before_the_profile_of_a_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert planned(folder) == (SANDBOX, [])
    monkeypatch.setenv("AWS_PROFILE", "work")
    what = "the keys of AWS_ACCESS_KEY_ID are used, not the profile work of AWS_PROFILE"
    assert planned(folder) == (SANDBOX, [what])
    assert planned(folder, "--profile", "work") == (WORK, [])
    monkeypatch.setenv("LAMBDA_FS_AWS_PROFILE", "work")
    assert planned(folder) == (WORK, [])
    monkeypatch.delenv("LAMBDA_FS_AWS_PROFILE")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert planned(folder) == (WORK, [])


def test_a_profile_of_the_file_comes_before_exported_keys(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(folder.parent / "named", aws_profile="work")
    what = "the profile work of aws_profile is used, not the keys of AWS_ACCESS_KEY_ID"
    assert planned(folder) == (WORK, [what])
    assert planned(folder, "--profile", "work") == (WORK, [])


def test_the_file_s_profile_that_a_variable_overrides_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(folder.parent / "named", aws_profile="prod")
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "work")
    what = "the keys of AWS_ACCESS_KEY_ID are used, not the profile work of AWS_DEFAULT_PROFILE"
    assert planned(folder) == (SANDBOX, [what])
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert planned(folder) == (WORK, [])


@pytest.mark.parametrize(
    ("named", "environ", "used"),
    [
        (None, {}, None),
        (None, {"AWS_PROFILE": "a"}, "a"),
        (None, {"AWS_PROFILE": ""}, None),
        (None, {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"}, "b"),
        (None, {"AWS_PROFILE": "a", **KEYS}, None),
        ("c", {"AWS_PROFILE": "a", **KEYS}, "c"),
    ],
)
def test_the_profile_whose_credentials_are_used(
    named: str | None, environ: dict[str, str], used: str | None
) -> None:
    assert used_profile(named, environ) == used


@pytest.mark.parametrize("text", ["", "aws_profile: null\n", "aws_profile:\n"])
def test_without_a_profile_nothing_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config_aws.yaml"
    file.write_text(f"ssh_keypair_name: k\nssh_key_path: k\n{text}")
    assert load_config(file, environ=KEYS).aws_profile is None
    assert file_warnings(file, environ=KEYS) == []


@pytest.mark.parametrize(("keys", "profile"), [(True, None), (False, "work")])
def test_the_kubeconfig_names_the_profile_only_if_its_credentials_were_used(
    cloud: RehearsalCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: bool,
    profile: str | None,
) -> None:
    text = PROFILES.replace(WORK_KEY, os.environ["AWS_ACCESS_KEY_ID"])
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text, encoding="utf-8")
    file = tmp_path / "kubeconfig"
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        zoo.save(kubeconfig_file=str(file))
        monkeypatch.setenv("AWS_PROFILE", "work")
        if not keys:
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        zoo.run("configure", "--only", "kubeconfig")
    command: dict[str, Any] = yaml.safe_load(file.read_text())["users"][0]["user"]["exec"]
    expected = [{"name": "AWS_PROFILE", "value": profile}] if profile else None
    assert command.get("env") == expected
