"""The security group's rules as data: what is missing, what is surplus, what users' rules cover."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from aws_setup.engine.step import Drift
from aws_setup.infrastructure import cluster_group
from aws_setup.infrastructure.ingress_rules import (
    ALL_TRAFFIC,
    RULES,
    SSH,
    Ports,
    Source,
    authorize_command,
    missing_egress,
    missing_rules,
    node_references,
    permission,
    rule_drift,
    surplus_ranges,
)
from aws_setup.infrastructure.security_group import existing_group_drift

OPERATOR = "52.94.76.7/32"
TARGETS = {Source.SELF: "sg-1", Source.OPERATOR: OPERATOR}
INTERNAL = permission(ALL_TRAFFIC, "sg-1")
ALLOWED = permission(SSH, OPERATOR)


def group(*permissions: dict[str, Any]) -> dict[str, Any]:
    return {"GroupId": "sg-1", "IpPermissions": list(permissions)}


def missing(*permissions: dict[str, Any]) -> list[str]:
    return [rule.title for rule in missing_rules(group(*permissions), TARGETS)]


def surplus(*permissions: dict[str, Any]) -> list[str]:
    every = group(*permissions)
    return [cidr for rule in RULES for cidr in surplus_ranges(rule, every, TARGETS)]


def test_an_empty_group_lacks_every_rule_whose_source_is_known() -> None:
    assert missing() == [rule.title for rule in RULES if rule.source is not Source.NODES]
    assert missing(INTERNAL, ALLOWED) == []
    assert surplus(INTERNAL, ALLOWED) == []
    assert rule_drift(group(INTERNAL, ALLOWED), TARGETS) == []


def test_all_traffic_of_another_group_is_not_traffic_within_the_group() -> None:
    assert missing(permission(ALL_TRAFFIC, "sg-2"), ALLOWED) == ["traffic within the group"]
    assert missing(permission(Ports("tcp"), "sg-1"), ALLOWED) == ["traffic within the group"]


@pytest.mark.parametrize(
    "allowed",
    [
        permission(Ports("tcp", 0, 65535), OPERATOR),
        permission(Ports("6", 20, 30), OPERATOR),
        permission(ALL_TRAFFIC, "52.94.0.0/16"),
        permission(Ports("tcp", 1, 99), "0.0.0.0/0"),
    ],
)
def test_a_users_rule_for_more_ports_covers_ssh_and_is_never_surplus(
    allowed: dict[str, Any],
) -> None:
    assert missing(INTERNAL, allowed) == []
    assert surplus(INTERNAL, allowed) == []


@pytest.mark.parametrize(
    "allowed",
    [
        permission(Ports("udp", 0, 65535), OPERATOR),
        permission(Ports("tcp", 23, 99), OPERATOR),
        permission(Ports("tcp", 1, 99), "10.0.0.0/8"),
        permission(ALL_TRAFFIC, "::/0"),
    ],
    ids=["another protocol", "other ports", "another address", "IPv6 only"],
)
def test_a_users_rule_that_does_not_cover_ssh_is_not_sufficient(allowed: dict[str, Any]) -> None:
    assert missing(INTERNAL, allowed) == ["SSH"]
    assert surplus(INTERNAL, allowed) == []


@pytest.mark.parametrize("cidr", ["52.94.76.8/32", "0.0.0.0/0", "::/0"])
def test_another_address_for_port_22_alone_is_surplus(cidr: str) -> None:
    other = permission(SSH, cidr)
    assert surplus(INTERNAL, ALLOWED, other) == [cidr]
    assert missing(INTERNAL, other) == ["SSH"]
    (drift,) = rule_drift(group(INTERNAL, other), TARGETS)
    assert drift == Drift("SSH allowed from", cidr, OPERATOR)


def test_an_unknown_operator_address_changes_no_ssh_permission() -> None:
    targets = {Source.SELF: "sg-1"}
    other = group(permission(SSH, "192.0.2.1/32"))
    assert [rule.title for rule in missing_rules(other, targets)] == ["traffic within the group"]
    assert not any(surplus_ranges(rule, other, targets) for rule in RULES)


NODE_RULES = [rule for rule in RULES if rule.source is Source.NODES]
FROM_NODES = [permission(rule.ports, "sg-eks", rule.description) for rule in NODE_RULES]


def missing_from_nodes(*permissions: dict[str, Any]) -> list[str]:
    targets = {Source.NODES: "sg-eks"}
    return [rule.title for rule in missing_rules(group(*permissions), targets)]


def test_namenodes_reach_what_they_connect_to_and_nothing_else() -> None:
    assert [(rule.ports.protocol, rule.ports.first, rule.ports.last) for rule in NODE_RULES] == [
        ("tcp", 1186, 1186),
        ("tcp", 11860, 11860),
        ("tcp", 3306, 3306),
        ("tcp", 2181, 2181),
        ("tcp", 6000, 6999),
        ("udp", 7000, 7999),
    ]
    assert missing_from_nodes() == [rule.title for rule in NODE_RULES]
    assert missing_from_nodes(*FROM_NODES) == []


def test_descriptions_have_only_characters_that_ec2_allows() -> None:
    allowed = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
    assert all(allowed.fullmatch(rule.description) for rule in RULES)


def test_permissions_of_another_cluster_are_found_and_those_of_a_user_are_not() -> None:
    users = permission(NODE_RULES[0].ports, "sg-eks", "mine")
    wide = permission(Ports("tcp"), "sg-old", NODE_RULES[1].description)
    other = permission(NODE_RULES[2].ports, "sg-old", NODE_RULES[2].description)
    assert node_references(group(users, wide, other)) == [(NODE_RULES[2], "sg-old")]
    assert missing_from_nodes(permission(ALL_TRAFFIC, "sg-eks")) == []
    assert missing_from_nodes(permission(Ports("17"), "sg-eks")) == [
        rule.title for rule in NODE_RULES[:-1]
    ]


@pytest.mark.parametrize(
    "allowed",
    [
        permission(SSH, "52.0.0.0/8"),
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListIds": [{"Id": "pl-1"}]},
    ],
    ids=["a wider range", "a prefix list"],
)
def test_an_existing_group_may_allow_more_than_the_table(allowed: dict[str, Any]) -> None:
    every = group(INTERNAL, allowed)
    assert missing_rules(every, TARGETS, unchanged=True) == []
    assert [rule.title for rule in missing_rules(every, TARGETS)] == ["SSH"]


def test_the_command_adds_exactly_the_rules() -> None:
    words = shlex.split(authorize_command("sg-1", NODE_RULES, {Source.NODES: "sg-eks"}))
    assert words[:3] == ["aws", "ec2", "authorize-security-group-ingress"]
    assert words[3:5] == ["--group-id", "sg-1"]
    assert json.loads(words[6]) == FROM_NODES


def test_a_permission_has_the_shape_of_ec2() -> None:
    assert permission(ALL_TRAFFIC, "sg-1") == {
        "IpProtocol": "-1",
        "UserIdGroupPairs": [{"GroupId": "sg-1"}],
    }
    assert permission(SSH, "2001:db8::/64", "SSH of the operator") == {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/64", "Description": "SSH of the operator"}],
    }


@pytest.mark.kind("A8")
@pytest.mark.parametrize(
    ("outbound", "titles"),
    [
        ([permission(ALL_TRAFFIC, "0.0.0.0/0")], []),
        ([], ["outbound traffic within the group", "outbound HTTPS"]),
        ([permission(ALL_TRAFFIC, "sg-1")], ["outbound HTTPS"]),
        ([permission(Ports("tcp", 443, 443), "0.0.0.0/0")], ["outbound traffic within the group"]),
        ([permission(ALL_TRAFFIC, "sg-1"), permission(Ports("tcp"), "0.0.0.0/0")], []),
    ],
)
def test_an_existing_group_must_let_out_what_is_needed(
    outbound: list[dict[str, Any]], titles: list[str]
) -> None:
    existing = group() | {"IpPermissionsEgress": outbound}
    assert [title for title, _ in missing_egress(existing)] == titles


@pytest.mark.kind("A8")
@pytest.mark.parametrize(("allowed", "missing"), [("10.0.0.0/8", 0), ("10.0.0.0/20", 6)])
def test_nodes_may_be_allowed_by_their_address_ranges(allowed: str, missing: int) -> None:
    nodes = [rule for rule in RULES if rule.source is Source.NODES]
    existing = group(*(permission(rule.ports, allowed) for rule in nodes))
    lacking = missing_rules(existing, {Source.NODES: "10.0.0.0/16"}, unchanged=True)
    assert len(lacking) == missing


WITHIN = "traffic within the group"
HALVES = (Ports("tcp", 0, 32767), Ports("tcp", 32768, 65535))


@pytest.mark.kind("A8")
@pytest.mark.parametrize(
    ("permissions", "lacks"),
    [
        ([permission(Ports("tcp"), "sg-1"), permission(Ports("udp"), "sg-1")], False),
        ([*(permission(half, "sg-1") for half in HALVES), permission(Ports("udp"), "sg-1")], False),
        ([*(permission(half, "sg-1") for half in HALVES)], True),
        ([permission(ALL_TRAFFIC, "10.0.0.0/16"), permission(ALL_TRAFFIC, "10.1.0.0/16")], False),
        ([permission(ALL_TRAFFIC, "10.0.0.0/16")], True),
        ([permission(ALL_TRAFFIC, "0.0.0.0/0")], False),
        ([permission(ALL_TRAFFIC, "sg-2")], True),
    ],
)
def test_traffic_within_an_existing_group_may_be_allowed_in_any_form(
    permissions: list[dict[str, Any]], lacks: bool
) -> None:
    ranges = ["10.0.0.0/16", "10.1.0.0/16"]
    existing = group(*permissions) | {"IpPermissionsEgress": [*permissions]}
    drift = existing_group_drift(existing, {Source.SELF: "sg-1"}, ranges=ranges)
    assert [WITHIN in one.what for one in drift] == [True] * lacks
    titles = [title for title, _ in missing_egress(existing, ranges)]
    assert ("outbound traffic within the group" in titles) is lacks


@pytest.mark.kind("A8")
def test_ports_may_be_allowed_by_several_permissions() -> None:
    parts = [permission(Ports("tcp", 6000, 6499), "sg-9"), permission(SSH, OPERATOR)]
    wanted = {Source.NODES: "sg-9"}

    def clients(*permissions: dict[str, Any]) -> bool:
        lacking = missing_rules(group(*permissions), wanted, unchanged=True)
        return "TCP servers of the clients" not in [rule.title for rule in lacking]

    assert not clients(*parts)
    assert clients(*parts, permission(Ports("tcp", 6400, 7100), "sg-9"))
    assert not clients(*parts, permission(Ports("tcp", 6501, 7100), "sg-9"))
    assert not clients(*parts, permission(Ports("udp", 6400, 7100), "sg-9"))


EVERYTHING, VPC = permission(ALL_TRAFFIC, "0.0.0.0/0"), permission(ALL_TRAFFIC, "10.0.0.0/16")


@pytest.mark.parametrize(
    ("inbound", "outbound", "lacking"),
    [
        ([INTERNAL], [EVERYTHING], []),
        ([INTERNAL], [INTERNAL, VPC], []),
        ([INTERNAL], [INTERNAL, permission(SSH, "sg-2")], []),
        ([], [EVERYTHING], [(False, INTERNAL)]),
        ([permission(ALL_TRAFFIC, "sg-2")], [EVERYTHING], [(False, INTERNAL)]),
        ([INTERNAL], [permission(SSH, "sg-2")], [(True, INTERNAL)]),
        ([INTERNAL], [], [(True, EVERYTHING)]),
        ([INTERNAL], [INTERNAL], [(True, EVERYTHING)]),
    ],
)
def test_what_eks_has_made_in_the_clusters_group_may_be_narrower_outbound_and_never_absent(
    inbound: list[dict[str, Any]], outbound: list[dict[str, Any]], lacking: list[Any]
) -> None:
    held = {**group(*inbound), "IpPermissionsEgress": outbound}
    found = cluster_group.missing(held).items()
    assert [(way, rule) for way, rules in found for _, rule in rules] == lacking
