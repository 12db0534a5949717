"""The aws-auth ConfigMap: what is merged, what is kept, and what happens when others write it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from aws_setup.config import Config
from aws_setup.eks import aws_auth
from aws_setup.eks.aws_auth import AwsAuth, merge_entries
from aws_setup.errors import SetupError
from aws_setup.kube.errors import KubeConflict
from aws_setup.kube.objects import Json
from tests.support.kube import StillClock

NODE = "arn:aws:iam::123456789012:role/nodes"
ADA = "arn:aws:iam::123456789012:user/ada"
TEAM = "arn:aws:iam::123456789012:role/lab/team"

EXISTING = """\
# written by hand
- rolearn: arn:aws:iam::123456789012:role/existing
  username: existing
  groups: [viewers]
"""


def test_existing_entries_are_kept_and_missing_ones_are_added() -> None:
    data = {"mapRoles": EXISTING, "mapAccounts": "[]"}
    after = merge_entries(data, admins=[ADA, TEAM], node_roles=[NODE])
    assert after["mapAccounts"] == "[]"
    roles = yaml.safe_load(after["mapRoles"])
    assert roles[0] == yaml.safe_load(EXISTING)[0]
    assert roles[1] == {
        "rolearn": NODE,
        "username": "system:node:{{EC2PrivateDNSName}}",
        "groups": ["system:bootstrappers", "system:nodes"],
    }
    assert roles[2]["rolearn"] == "arn:aws:iam::123456789012:role/team"
    assert roles[2]["groups"] == ["system:masters"]
    assert yaml.safe_load(after["mapUsers"]) == [
        {"userarn": ADA, "username": "ada", "groups": ["system:masters"]}
    ]


def test_a_second_merge_changes_nothing() -> None:
    once = merge_entries({"mapRoles": EXISTING}, admins=[ADA, TEAM], node_roles=[NODE])
    assert merge_entries(once, admins=[ADA, TEAM], node_roles=[NODE]) == once


def test_a_list_that_needs_no_change_keeps_its_text() -> None:
    after = merge_entries({"mapRoles": EXISTING}, admins=[ADA], node_roles=[])
    assert after["mapRoles"] == EXISTING


def test_an_administrator_keeps_existing_groups() -> None:
    users = f"- userarn: {ADA}\n  username: me\n  groups: [viewers]\n"
    after = merge_entries({"mapUsers": users}, admins=[ADA], node_roles=[])
    assert yaml.safe_load(after["mapUsers"]) == [
        {"userarn": ADA, "username": "me", "groups": ["viewers", "system:masters"]}
    ]


SHAPES = f"""\
- roleARN: {NODE.upper().replace("ARN:AWS:IAM", "arn:aws:iam")}
  username: somebody
- userarn: mistaken
- rolearn: {NODE}
  username: "system:node:{{{{SessionName}}}}"
  groups: system:nodes
- {{rolearn: "arn:aws:iam::123456789012:role/team", groups: null}}
"""


def test_entries_of_another_shape_are_completed_where_they_count_and_kept_elsewhere() -> None:
    before = {"mapRoles": SHAPES}
    after = merge_entries(before, admins=[TEAM], node_roles=[NODE])
    first, second, counts, team = yaml.safe_load(after["mapRoles"])
    assert [first, second] == yaml.safe_load(SHAPES)[:2]
    assert counts == {
        "rolearn": NODE,
        "username": "system:node:{{EC2PrivateDNSName}}",
        "groups": ["system:nodes", "system:bootstrappers"],
    }
    assert team["username"] == "team"
    assert team["groups"] == ["system:masters"]
    assert aws_auth.changed_entries(before, after) == [NODE, team["rolearn"]]
    assert merge_entries(after, admins=[TEAM], node_roles=[NODE]) == after


@pytest.mark.parametrize("text", ["- {unclosed", "just text", "a: map", "- text"])
def test_what_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(SetupError) as caught:
        merge_entries({"mapRoles": text}, admins=[ADA], node_roles=[])
    assert "mapRoles" in caught.value.problems[0].what
    assert "manage_aws_auth" in caught.value.problems[0].hint


class Contended:
    """A client of a cluster in which another client replaces aws-auth first."""

    def __init__(self, conflicts: int, data: dict[str, str] | None) -> None:
        self.conflicts, self.data = conflicts, data
        self.reads = 0

    def get(self, *_: object) -> Json | None:
        self.reads += 1
        metadata = {"name": "aws-auth", "resourceVersion": str(self.reads)}
        return None if self.data is None else {"metadata": metadata, "data": dict(self.data)}

    def create(self, _: object, body: Json, __: str) -> None:
        self.data = body["data"]

    def replace(self, _: object, body: Json, __: str) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise KubeConflict("refused", "it was modified", "run again", status=409)
        self.data = body["data"]


def create(monkeypatch: pytest.MonkeyPatch, client: Contended) -> tuple[StillClock, list[str]]:
    """Run the step's create over a client; return its clock and what it backed up."""
    clock, backups = StillClock(), list[str]()
    monkeypatch.setattr(aws_auth, "kube_client", lambda _: client)
    monkeypatch.setattr(aws_auth, "admins", lambda _: [ADA])
    ctx: Any = SimpleNamespace(
        found={},
        config=Config(ssh_keypair_name="key", ssh_key_path="key.pem"),
        clock=clock,
        note=lambda _: None,
        keep=lambda _, item: backups.append(item["metadata"]["resourceVersion"]),
    )
    AwsAuth().create(ctx)
    return clock, backups


def test_a_conflict_is_resolved_by_reading_and_merging_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Contended(3, {"mapAccounts": "[]"})
    clock, backups = create(monkeypatch, client)
    assert clock.slept == [0.5, 1.0, 1.5]
    assert backups == ["1", "2", "3", "4"]
    assert client.data is not None
    assert client.data["mapAccounts"] == "[]"
    assert ADA in client.data["mapUsers"]


def test_after_ten_conflicts_the_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Contended(100, {})
    with pytest.raises(KubeConflict):
        create(monkeypatch, client)
    assert client.reads == 10


def test_a_missing_config_map_is_created_and_a_complete_one_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Contended(0, None)
    create(monkeypatch, client)
    assert client.data is not None
    assert ADA in client.data["mapUsers"]
    client.conflicts = 100
    _, backups = create(monkeypatch, client)
    assert backups == []
