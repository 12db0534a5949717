"""The user's kubeconfig: which file is written, what is inserted, kept, removed and refused."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.eks import kubeconfig
from aws_setup.eks.kubeconfig import (
    additions,
    complete_parts,
    contains_entry,
    entry,
    insert_entry,
    kubeconfig_file,
)
from aws_setup.eks.kubeconfig_text import edit
from aws_setup.errors import SetupError

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/zoo"
CLUSTER: dict[str, Any] = {
    "name": "zoo",
    "arn": ARN,
    "endpoint": "https://zoo.eks.amazonaws.com",
    "certificateAuthority": {"data": "Q0E="},
}
PARTS = entry(CLUSTER, region="us-east-1", profile="research")
EXISTING: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "existing", "cluster": {"server": "https://existing"}}],
    "users": [{"name": "existing", "user": {"token": "t"}}],
    "contexts": [{"name": "existing", "context": {"cluster": "existing", "user": "existing"}}],
    "current-context": "existing",
}


def test_the_first_file_of_the_list_that_exists_is_written(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    listed = {"KUBECONFIG": f"{first}{os.pathsep}{second}"}
    assert kubeconfig_file(listed, tmp_path) == second
    first.touch()
    assert kubeconfig_file(listed, tmp_path) == first
    assert kubeconfig_file({}, tmp_path) == tmp_path / ".kube" / "config"


def test_the_entry_gets_tokens_from_the_aws_command() -> None:
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


def test_other_entries_are_kept_and_the_current_context_changes_only_on_request() -> None:
    after = insert_entry(EXISTING, ARN, PARTS, current=False)
    assert after["current-context"] == "existing"
    assert after["preferences"] == {"colors": True}
    assert after["clusters"][0] == EXISTING["clusters"][0]
    assert contains_entry(after, ARN, PARTS)
    assert insert_entry(EXISTING, ARN, PARTS, current=True)["current-context"] == ARN
    assert insert_entry(after, ARN, PARTS, current=False) == after


def test_removing_the_entry_restores_the_document() -> None:
    after = insert_entry(EXISTING, ARN, PARTS, current=False)
    assert kubeconfig.remove_entry(after, ARN) == EXISTING
    current = insert_entry(EXISTING, ARN, PARTS, current=True)
    assert kubeconfig.remove_entry(current, ARN)["current-context"] == ""


@pytest.mark.parametrize("text", ["- a list", "{unclosed", "clusters: text", "users: [text]"])
def test_a_file_that_is_not_a_kubeconfig_is_refused_and_not_modified(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(SetupError) as caught:
        kubeconfig.load(file)
    assert "write_kubeconfig" in caught.value.problems[0].hint
    assert file.read_text() == text


def test_a_missing_file_is_an_empty_kubeconfig(tmp_path: Path) -> None:
    assert kubeconfig.load(tmp_path / "none") == {}
    made = insert_entry({}, ARN, PARTS, current=False)
    assert yaml.safe_load(yaml.safe_dump(made))["kind"] == "Config"


def test_an_outdated_entry_is_not_the_clusters_and_is_replaced() -> None:
    old = entry(CLUSTER | {"endpoint": "https://old"}, region="us-east-1", profile="research")
    document = insert_entry(EXISTING, ARN, old, current=False)
    assert not contains_entry(document, ARN, PARTS)
    renewed = insert_entry(document, ARN, PARTS, current=False)
    assert contains_entry(renewed, ARN, PARTS)
    assert [item["name"] for item in renewed["clusters"]] == ["existing", ARN]


def extended() -> dict[str, Any]:
    """Return a kubeconfig with an entry that its user has extended."""
    document = deepcopy(insert_entry(EXISTING, ARN, PARTS, current=False))
    document["contexts"][-1]["context"] |= {"namespace": "dev", "user": "existing"}
    document["clusters"][-1]["cluster"]["proxy-url"] = "http://proxy"
    document["users"][-1]["user"]["exec"] |= {
        "env": [{"name": "AWS_PROFILE", "value": "mine"}, {"name": "HTTPS_PROXY", "value": "p"}],
        "args": ["eks", "get-token", "--cluster-name=zoo", "--role-arn", "arn:r"],
    }
    return document


def test_what_a_user_has_added_to_the_entry_is_no_drift_and_survives_a_correction() -> None:
    document = extended()
    parts = complete_parts(document, ARN, PARTS, CLUSTER)
    assert contains_entry(document, ARN, parts)
    assert additions(document, ARN, PARTS) == [
        "cluster: proxy-url",
        "AWS_PROFILE=mine",
        "HTTPS_PROXY=p",
        "context: namespace",
    ]
    document["clusters"][-1]["cluster"]["server"] = "https://old"
    document["clusters"][-1]["cluster"]["insecure-skip-tls-verify"] = True
    parts = complete_parts(document, ARN, PARTS, CLUSTER)
    assert not contains_entry(document, ARN, parts)
    assert insert_entry(document, ARN, parts, current=False) == extended()


@pytest.mark.parametrize(
    "command",
    [
        {"command": "aws", "args": ["eks", "get-token", "--cluster-name", "other"]},
        {"command": "aws", "args": ["--region", "eu-west-1", "get-token", "zoo"]},
        {"args": ["zoo"]},
        None,
    ],
)
def test_a_user_without_a_token_of_this_cluster_is_replaced(command: Any) -> None:
    document = extended()
    document["users"][-1]["user"] = {"exec": command} if command else {"token": "t"}
    parts = complete_parts(document, ARN, PARTS, CLUSTER)
    assert parts["users"] == PARTS["users"]
    document["users"][-1]["user"] = {
        "exec": {"command": "aws-iam-authenticator", "args": ["token", "-i", "zoo"]}
    }
    parts = complete_parts(document, ARN, PARTS, CLUSTER)
    assert parts["users"]["exec"]["command"] == "aws-iam-authenticator"
    assert parts["users"]["exec"]["apiVersion"] == PARTS["users"]["exec"]["apiVersion"]


COMMENTED = f"""\
# mine
apiVersion: v1
kind: Config
clusters:
# of the lab
- name: {ARN}
  cluster:
    server: https://old  # before the move
    certificate-authority-data: Q0E=
- cluster: {{server: "https://existing"}}   # é
  name: existing
# the end of the clusters
users: []
contexts: []
"""


def test_comments_stay_where_values_change_and_items_come_and_go() -> None:
    document = yaml.safe_load(COMMENTED)
    document["clusters"][0]["cluster"]["server"] = "https://new"
    changed = edit(COMMENTED, document)
    assert changed == COMMENTED.replace("https://old", '"https://new"')
    document["clusters"].append({"name": "more", "cluster": {"server": "s"}})
    longer = edit(changed, document)
    assert longer is not None
    assert yaml.safe_load(longer) == document
    assert longer.count("#") == COMMENTED.count("#")
    del document["clusters"][0]
    shorter = edit(longer, document)
    assert shorter is not None
    assert yaml.safe_load(shorter) == document
    assert "# the end of the clusters" in shorter
    # What cannot be changed in place is left to the caller, undamaged.
    assert edit(COMMENTED, {**document, "preferences": {}}) is None
    assert edit("a: [1, 2]", {"a": [1, 2, 3]}) is None
    assert edit("a: |\n  text\n", {"a": "other"}) is None


def test_lists_that_are_null_are_empty() -> None:
    document = {"clusters": None, "users": None, "contexts": None}
    assert not contains_entry(document, ARN, PARTS)
    assert kubeconfig.remove_entry(document, ARN) == {"clusters": [], "users": [], "contexts": []}
    assert contains_entry(insert_entry(document, ARN, PARTS, current=False), ARN, PARTS)


def test_saving_follows_a_link_and_makes_the_file_private(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("{}")
    link.symlink_to(file)
    kubeconfig.rewrite(link, EXISTING, note=lambda _: None, copy=False)
    assert link.is_symlink()
    assert kubeconfig.load(file) == EXISTING
    assert file.stat().st_mode & 0o077 == 0
