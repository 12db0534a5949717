"""Who administers the cluster, and what becomes of aws-auth."""

from __future__ import annotations

import pytest
import yaml

from aws_setup.eks.access_entries import principal_of
from aws_setup.eks.aws_auth import merge_entries
from aws_setup.errors import SetupError

NODE = "arn:aws:iam::123456789012:role/nodes"
ADA = "arn:aws:iam::123456789012:user/ada"
TEAM = "arn:aws:iam::123456789012:role/lab/team"

THEIRS = """\
# written by hand
- rolearn: arn:aws:iam::123456789012:role/theirs
  username: theirs
  groups: [viewers]
"""


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        (ADA, ADA),
        (TEAM, TEAM),
        (
            "arn:aws:sts::123456789012:assumed-role/team/ada@lab",
            "arn:aws:iam::123456789012:role/team",
        ),
        (
            "arn:aws-cn:sts::123456789012:assumed-role/team/s",
            "arn:aws-cn:iam::123456789012:role/team",
        ),
    ],
)
def test_a_session_is_reduced_to_its_role(caller: str, principal: str) -> None:
    assert principal_of(caller) == principal


@pytest.mark.parametrize(
    "caller",
    ["arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:federated-user/ada"],
)
def test_who_cannot_have_access_is_told_so(caller: str) -> None:
    with pytest.raises(SetupError) as caught:
        principal_of(caller)
    assert "cluster_admins" in caught.value.problems[0].hint


def test_entries_of_others_stay_and_ours_are_added() -> None:
    data = {"mapRoles": THEIRS, "mapAccounts": "[]"}
    after = merge_entries(data, admins=[ADA, TEAM], node_roles=[NODE])
    assert after["mapAccounts"] == "[]"
    roles = yaml.safe_load(after["mapRoles"])
    assert roles[0] == yaml.safe_load(THEIRS)[0]
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
    once = merge_entries({"mapRoles": THEIRS}, admins=[ADA, TEAM], node_roles=[NODE])
    assert merge_entries(once, admins=[ADA, TEAM], node_roles=[NODE]) == once


def test_what_needs_no_change_keeps_its_own_text() -> None:
    after = merge_entries({"mapRoles": THEIRS}, admins=[ADA], node_roles=[])
    assert after["mapRoles"] == THEIRS


def test_an_administrator_keeps_the_groups_that_others_gave() -> None:
    users = f"- userarn: {ADA}\n  username: me\n  groups: [viewers]\n"
    after = merge_entries({"mapUsers": users}, admins=[ADA], node_roles=[])
    assert yaml.safe_load(after["mapUsers"]) == [
        {"userarn": ADA, "username": "me", "groups": ["viewers", "system:masters"]}
    ]


@pytest.mark.parametrize("text", ["- {unclosed", "just text", "a: map", "- username: nobody"])
def test_what_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(SetupError) as caught:
        merge_entries({"mapRoles": text}, admins=[ADA], node_roles=[])
    assert "mapRoles" in caught.value.problems[0].what
    assert "manage_aws_auth" in caught.value.problems[0].hint
