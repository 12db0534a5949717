"""A variable of AWS that overrides a key of the file is a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.config import file_warnings
from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare, run

ONLY = ("plan", "--only", "vpc", "--json")


def warned(folder: Path, *more: str) -> list[str]:
    ended = run(SCRIPT, folder, *ONLY, *more)
    assert ended.exit_code == 0, ended.stdout
    return [
        warning["what"] for warning in ended.document["warnings"] if "overrides" in warning["what"]
    ]


def test_the_region_of_the_environment_is_named(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work", aws_region="eu-west-1")
    ended = run(SCRIPT, folder, *ONLY)
    assert ended.document["region"] == "us-east-1"
    (warning,) = [one for one in ended.document["warnings"] if "overrides" in one["what"]]
    assert warning["what"] == "the environment variable AWS_REGION overrides aws_region"
    assert warning["why"] == "it is us-east-1, and config_aws.yaml has aws_region: eu-west-1"
    assert warning["hint"] == "unset AWS_REGION"
    plain = run(SCRIPT, folder, *ONLY[:-1])
    assert "warning: the environment variable AWS_REGION overrides" in plain.stderr


def test_no_warning_if_the_values_are_equal_or_a_flag_is_set(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert warned(prepare(tmp_path / "same", aws_region="us-east-1")) == []
    assert warned(prepare(tmp_path / "silent")) == []
    other = prepare(tmp_path / "other", aws_region="eu-west-1")
    assert warned(other, "--region", "us-east-1") == []
    monkeypatch.setenv("LAMBDA_FS_AWS_REGION", "us-east-1")
    assert warned(other) == []


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "AWS_DEFAULT_REGION"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "us-west-2"}, "AWS_REGION"),
        ({"AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "eu-west-1"}, ""),
        ({"AWS_PROFILE": "work"}, "AWS_PROFILE"),
        ({"AWS_PROFILE": "zoo"}, ""),
    ],
)
def test_the_warning_names_the_variable_that_applies(
    tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    file = tmp_path / "config_aws.yaml"
    file.write_text("aws_region: eu-west-1\naws_profile: zoo\n")
    warnings = file_warnings(file, environ=environ)
    assert [problem.what.split()[3] for problem in warnings] == ([named] if named else [])
