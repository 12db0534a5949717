"""The security group's rules as data: what is missing, what is surplus, what users' rules cover."""

from __future__ import annotations

from typing import Any

import pytest

from aws_setup.engine.step import Drift
from aws_setup.infrastructure.security_group import (
    ALL_TRAFFIC,
    RULES,
    SSH,
    Ports,
    Source,
    missing_rules,
    permission,
    rule_drift,
    surplus_ranges,
)

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


def test_an_empty_group_lacks_every_rule() -> None:
    assert missing() == [rule.title for rule in RULES]
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
    assert [surplus_ranges(rule, other, targets) for rule in RULES] == [[], []]


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
