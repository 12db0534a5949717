"""The user's kubeconfig: which file, what goes in, what stays, what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.eks import kubeconfig
from aws_setup.eks.kubeconfig import contains_entry, entry, insert_entry, kubeconfig_file
from aws_setup.errors import SetupError

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/zoo"
CLUSTER: dict[str, Any] = {
    "name": "zoo",
    "arn": ARN,
    "endpoint": "https://zoo.eks.amazonaws.com",
    "certificateAuthority": {"data": "Q0E="},
}
PARTS = entry(CLUSTER, region="us-east-1", profile="research")
THEIRS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "theirs", "cluster": {"server": "https://theirs"}}],
    "users": [{"name": "theirs", "user": {"token": "t"}}],
    "contexts": [{"name": "theirs", "context": {"cluster": "theirs", "user": "theirs"}}],
    "current-context": "theirs",
}


def test_the_first_file_of_the_list_that_exists_is_written(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    listed = {"KUBECONFIG": f"{first}{os.pathsep}{second}"}
    assert kubeconfig_file(listed, tmp_path) == second
    first.touch()
    assert kubeconfig_file(listed, tmp_path) == first
    assert kubeconfig_file({}, tmp_path) == tmp_path / ".kube" / "config"


def test_our_entry_fetches_tokens_with_the_aws_command() -> None:
    user = PARTS["users"]["exec"]
    assert user["command"] == "aws"
    assert user["args"][:6] == [
        "--region",
        "us-east-1",
        "eks",
        "get-token",
        "--cluster-name",
        "zoo",
    ]
    assert user["env"] == [{"name": "AWS_PROFILE", "value": "research"}]


def test_everything_of_others_stays_and_the_context_is_changed_only_when_asked() -> None:
    after = insert_entry(THEIRS, ARN, PARTS, current=False)
    assert after["current-context"] == "theirs"
    assert after["preferences"] == {"colors": True}
    assert after["clusters"][0] == THEIRS["clusters"][0]
    assert contains_entry(after, ARN, PARTS)
    assert insert_entry(THEIRS, ARN, PARTS, current=True)["current-context"] == ARN
    assert insert_entry(after, ARN, PARTS, current=False) == after


def test_taking_our_entry_out_brings_back_what_was_there() -> None:
    after = insert_entry(THEIRS, ARN, PARTS, current=False)
    assert kubeconfig.remove_entry(after, ARN) == THEIRS
    current = insert_entry(THEIRS, ARN, PARTS, current=True)
    assert kubeconfig.remove_entry(current, ARN)["current-context"] == ""


@pytest.mark.parametrize("text", ["- a list", "{unclosed", "clusters: text", "users: [text]"])
def test_a_file_that_is_no_kubeconfig_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(SetupError) as caught:
        kubeconfig.load(file)
    assert "write_kubeconfig" in caught.value.problems[0].hint
    assert file.read_text() == text


def test_no_file_is_an_empty_one(tmp_path: Path) -> None:
    assert kubeconfig.load(tmp_path / "none") == {}
    made = insert_entry({}, ARN, PARTS, current=False)
    assert yaml.safe_load(yaml.safe_dump(made))["kind"] == "Config"
