"""Each kind of rule that decides about a connection, alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aws_setup.rehearsal.aws.ec2.network_acls import ALLOW_ALL, AclEntry
from aws_setup.rehearsal.aws.ec2.packet_rules import (
    Interface,
    InternetHost,
    Route,
    SecurityGroup,
    SecurityRule,
    Subnet,
    Traffic,
    Verdict,
    decide,
)

OPERATOR = InternetHost("the operator", "52.94.76.7")
LOCAL = Route("10.0.0.0/16", "local")
PUBLIC = Subnet("subnet-1", "vpc-1", "rtb-1", (LOCAL, Route("0.0.0.0/0", "igw-1")), "acl-1")
PRIVATE = Subnet(
    "subnet-2", "vpc-1", "rtb-2", (LOCAL, Route("0.0.0.0/0", "nat-1", "127.9.9.9")), "acl-2"
)
VMS = SecurityGroup("sg-1", "lambda-fs-security-group")
NODES = SecurityGroup("sg-2", "eks-cluster-sg-zoo")
VM = Interface("ndb-manager-node", PUBLIC, "10.0.6.227", "127.0.6.227", (VMS,))
NODE = Interface("node", PRIVATE, "10.0.128.7", groups=(NODES,))
SSH, MYSQL = Traffic("tcp", 22), Traffic("tcp", 3306)


def allowing(*rules: SecurityRule) -> Interface:
    """Return the VM with these inbound rules."""
    return replace(VM, groups=(replace(VMS, inbound=rules),))


def in_subnet(interface: Interface, subnet: Subnet) -> Interface:
    return replace(interface, subnet=subnet)


def refusal(verdict: Verdict) -> str:
    assert not verdict
    assert "\n" not in verdict.reason
    return verdict.reason


EVERYTHING = SecurityRule("-1", cidr="0.0.0.0/0")


def test_a_missing_inbound_rule_is_named_with_both_groups() -> None:
    assert refusal(decide(NODE, VM, MYSQL)) == (
        "sg-1 (lambda-fs-security-group) has no inbound rule for tcp 3306 "
        "from sg-2 (eks-cluster-sg-zoo)"
    )
    assert refusal(decide(OPERATOR, VM, SSH)) == (
        "sg-1 (lambda-fs-security-group) has no inbound rule for tcp 22 from 52.94.76.7"
    )


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (SecurityRule("-1", group="sg-2"), True),
        (SecurityRule("tcp", 3306, 3306, group="sg-2"), True),
        (SecurityRule("tcp", 3000, 4000, group="sg-2"), True),
        (SecurityRule("tcp", 3307, 4000, group="sg-2"), False),
        (SecurityRule("udp", 3306, 3306, group="sg-2"), False),
        (SecurityRule("tcp", 3306, 3306, group="sg-1"), False),
        (SecurityRule("tcp", 3306, 3306, cidr="10.0.128.0/20"), True),
        (SecurityRule("tcp", 3306, 3306, cidr="10.0.128.7/32"), True),
        (SecurityRule("tcp", 3306, 3306, cidr="10.0.0.0/20"), False),
        (EVERYTHING, True),
    ],
)
def test_an_inbound_rule_matches_protocol_ports_and_source(
    rule: SecurityRule, allowed: bool
) -> None:
    verdict = decide(NODE, allowing(rule), MYSQL)
    assert bool(verdict) == allowed
    assert ("allows tcp 3306 from sg-2" in verdict.reason) == allowed


def test_a_group_that_names_itself_allows_its_other_interfaces() -> None:
    vm = allowing(SecurityRule("-1", group="sg-1"))
    assert decide(replace(VM, private_ip="10.0.8.233"), vm, MYSQL)
    assert not decide(NODE, vm, MYSQL)


def test_one_of_several_groups_is_sufficient() -> None:
    extra = SecurityGroup("sg-3", "extra", (SecurityRule("tcp", 3306, 3306, group="sg-2"),))
    assert decide(NODE, replace(VM, groups=(VMS, extra)), MYSQL)
    both = replace(VM, groups=(VMS, replace(extra, inbound=())))
    assert "and sg-3 (extra) have no inbound rule" in refusal(decide(NODE, both, MYSQL))


def test_outbound_rules_of_the_source_count_and_answers_need_none() -> None:
    vm = replace(VM, groups=(replace(VMS, inbound=(EVERYTHING,), outbound=()),))
    assert decide(NODE, vm, MYSQL), "security groups are stateful"
    shut = replace(NODE, groups=(replace(NODES, outbound=()),))
    assert refusal(decide(shut, vm, MYSQL)) == (
        "sg-2 (eks-cluster-sg-zoo) has no outbound rule for tcp 3306 "
        "to sg-1 (lambda-fs-security-group)"
    )


ACLS = [
    ("subnet-2", AclEntry(90, False, True), "outbound tcp 3306 to 10.0.6.227"),
    ("subnet-1", AclEntry(90, False, False), "inbound tcp 3306 from 10.0.128.7"),
    (
        "subnet-1",
        AclEntry(90, False, True, "tcp", "10.0.128.0/20", 32768, 40000),
        "outbound tcp 1024-65535 to 10.0.128.7",
    ),
    (
        "subnet-2",
        AclEntry(90, False, False, "tcp", "10.0.0.0/16", 60000, 65535),
        "inbound tcp 1024-65535 from 10.0.6.227",
    ),
]


@pytest.mark.parametrize(("subnet", "entry", "denied"), ACLS)
def test_network_acls_of_both_subnets_check_request_and_answer(
    subnet: str, entry: AclEntry, denied: str
) -> None:
    def verdict(added: AclEntry) -> Verdict:
        ends = [
            in_subnet(end, replace(end.subnet, entries=(*ALLOW_ALL, added)))
            if end.subnet.id == subnet
            else end
            for end in (NODE, allowing(EVERYTHING))
        ]
        return decide(ends[0], ends[1], MYSQL)

    assert f"of {subnet}, rule 90, denies {denied}" in refusal(verdict(entry))
    assert verdict(replace(entry, number=110)), "the entry with the lower number decides"


def test_what_no_entry_allows_is_denied_by_the_last_rule() -> None:
    half = AclEntry(100, True, True, "tcp", first=1024, last=40000)
    subnet = replace(PUBLIC, entries=(AclEntry(100, True, False), half))
    reason = refusal(decide(OPERATOR, in_subnet(allowing(EVERYTHING), subnet), SSH))
    assert reason == "acl-1 of subnet-1, rule *, denies outbound tcp 1024-65535 to 52.94.76.7"
    rest = replace(half, number=120, first=40001, last=65535)
    subnet = replace(subnet, entries=(*subnet.entries, rest))
    assert decide(OPERATOR, in_subnet(allowing(EVERYTHING), subnet), SSH)


def test_network_acls_do_not_apply_within_a_subnet() -> None:
    subnet = replace(PUBLIC, entries=())
    vm = in_subnet(allowing(EVERYTHING), subnet)
    assert decide(replace(vm, private_ip="10.0.8.233"), vm, MYSQL)
    assert decide(vm, vm, MYSQL)
    assert not decide(in_subnet(NODE, PRIVATE), vm, MYSQL)


def test_two_vpcs_have_no_route_to_each_other() -> None:
    other = in_subnet(allowing(EVERYTHING), replace(PUBLIC, vpc="vpc-2"))
    assert refusal(decide(NODE, other, MYSQL)) == "vpc-1 has no route to 10.0.6.227 in vpc-2"


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ((LOCAL,), "rtb-1 of subnet-1 has no route to 52.94.76.7"),
        (
            (LOCAL, Route("0.0.0.0/0", "nat-1", "127.9.9.9")),
            "rtb-1 of subnet-1 routes 52.94.76.7 to nat-1, not to an internet gateway",
        ),
        (
            (LOCAL, Route("0.0.0.0/0", "igw-1", active=False)),
            "rtb-1 of subnet-1 has a blackhole route to 52.94.76.7 (igw-1)",
        ),
        (
            (LOCAL, Route("0.0.0.0/0", "igw-1"), Route("52.94.0.0/16", "nat-1", "127.9.9.9")),
            "rtb-1 of subnet-1 routes 52.94.76.7 to nat-1, not to an internet gateway",
        ),
    ],
)
def test_a_public_address_needs_a_route_through_an_internet_gateway(
    routes: tuple[Route, ...], reason: str
) -> None:
    vm = in_subnet(allowing(EVERYTHING), replace(PUBLIC, routes=routes))
    assert refusal(decide(OPERATOR, vm, SSH)) == reason


def test_the_internet_reaches_public_addresses_only() -> None:
    vm = allowing(SecurityRule("tcp", 22, 22, cidr="52.94.76.7/32"))
    assert decide(OPERATOR, vm, SSH).reason.endswith("allows tcp 22 from 52.94.76.7")
    assert not decide(replace(OPERATOR, address="52.94.76.8"), vm, SSH)
    hidden = replace(vm, public_ip="")
    assert refusal(decide(OPERATOR, hidden, SSH)) == "ndb-manager-node has no public address"


def test_a_nat_gateway_carries_connections_outwards_only() -> None:
    assert decide(NODE, OPERATOR, Traffic("tcp", 443))
    assert not decide(OPERATOR, replace(NODE, public_ip="127.0.128.7"), Traffic("tcp", 443))
    nowhere = in_subnet(NODE, replace(PRIVATE, routes=(LOCAL,)))
    reason = refusal(decide(nowhere, OPERATOR, Traffic("tcp", 443)))
    assert reason == "rtb-2 of subnet-2 has no route to 52.94.76.7"


def test_an_internet_gateway_carries_only_interfaces_with_a_public_address() -> None:
    vm = replace(VM, public_ip="")
    reason = refusal(decide(vm, OPERATOR, Traffic("tcp", 443)))
    assert reason == "ndb-manager-node has no public address for igw-1 (rtb-1)"
    assert decide(VM, OPERATOR, Traffic("tcp", 443))


def test_groups_do_not_match_by_way_of_public_addresses() -> None:
    vm = allowing(SecurityRule("tcp", 3306, 3306, group="sg-2"))
    assert decide(NODE, vm, MYSQL)
    reason = refusal(decide(NODE, vm, MYSQL, public=True))
    assert reason.endswith("has no inbound rule for tcp 3306 from 127.9.9.9")
    vm = allowing(SecurityRule("tcp", 3306, 3306, cidr="127.9.9.9/32"))
    assert decide(NODE, vm, MYSQL, public=True)


def test_a_machine_that_is_not_running_neither_sends_nor_answers() -> None:
    vm = replace(allowing(EVERYTHING), silent="ndb-manager-node is stopped")
    assert refusal(decide(NODE, vm, MYSQL)) == "ndb-manager-node is stopped"
    assert refusal(decide(vm, NODE, MYSQL)) == "ndb-manager-node is stopped"
