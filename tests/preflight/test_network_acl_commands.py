"""The commands for a network ACL that denies what is needed: run as given, they allow it."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import Any

import pytest

from aws_setup.preflight.network_acls import Flow, denying_entry, findings

SSH = ("tcp", 22, 22)
OPERATOR = "198.51.100.7/32"
NEEDED = [
    Flow(outbound=False, ports=SSH, cidr=OPERATOR),
    Flow(outbound=False, ports=("tcp", 2181, 2181), cidr="10.0.0.0/16"),
    Flow(outbound=True, ports=("tcp", 32768, 65535), cidr=OPERATOR),
]


def entry(
    number: int, action: str, *, out: bool = False, cidr: str = "0.0.0.0/0", ports: Any = None
) -> dict[str, Any]:
    found = {"RuleNumber": number, "RuleAction": action, "Egress": out, "CidrBlock": cidr}
    protocol = {"Protocol": "6", "PortRange": {"From": ports[0], "To": ports[1]}} if ports else {}
    return found | (protocol or {"Protocol": "-1"})


def hint_of(entries: list[dict[str, Any]]) -> str:
    acl = {
        "NetworkAclId": "acl-1",
        "Associations": [{"SubnetId": "subnet-1"}],
        "Entries": entries,
    }
    (finding,) = findings([("subnet-1", flow) for flow in NEEDED], [acl])
    return finding.problem.hint


def apply(entries: list[dict[str, Any]], hint: str) -> list[dict[str, Any]]:
    """Return the entries after the commands of a hint, as EC2 takes them: a number only once."""
    result = list(entries)
    for command in re.findall(r"`([^`]+)`", hint):
        words = shlex.split(command)
        option = {a: b for a, b in pairwise(words) if a.startswith("--")}
        number, out = int(option["--rule-number"]), "--egress" in words
        same = [e for e in result if (e["RuleNumber"], e["Egress"]) == (number, out)]
        if words[2] == "delete-network-acl-entry":
            assert same
            result.remove(same[0])
            continue
        assert not same, f"{number} is used"
        assert 1 <= number <= 32766
        ports = re.fullmatch(r"From=(\d+),To=(\d+)", option.get("--port-range", ""))
        made = entry(number, option["--rule-action"], out=out, cidr=option["--cidr-block"])
        if ports:
            made |= entry(0, "", ports=[int(n) for n in ports.groups()]) | {
                key: made[key] for key in ("RuleNumber", "RuleAction", "Egress", "CidrBlock")
            }
        result.append(made)
    return result


LAST = [entry(32767, "deny"), entry(32767, "deny", out=True)]


@pytest.mark.kind("A8")
@pytest.mark.parametrize(
    "entries",
    [
        [*LAST],
        [entry(100, "deny"), entry(200, "allow"), entry(100, "allow", out=True), *LAST],
        [entry(1, "deny"), entry(100, "allow"), entry(100, "allow", out=True), *LAST],
        [
            entry(1, "deny", ports=(0, 30000)),
            entry(50, "allow"),
            entry(1, "deny", out=True),
            entry(2, "allow", out=True, cidr="10.0.0.0/8"),
            *LAST,
        ],
        [entry(2, "deny", ports=(22, 22)), entry(1, "deny", ports=(2000, 3000)), *LAST],
        [entry(1, "deny", ports=(22, 22)), entry(5, "deny", ports=(2000, 3000)), *LAST],
    ],
    ids=["only the last", "before 100", "entry 1", "both ways", "1 and 2", "1 and 5"],
)
def test_the_commands_allow_what_is_needed_also_before_entry_1(
    entries: list[dict[str, Any]],
) -> None:
    hint = hint_of(entries)
    if "replace-network-acl-entry" in hint:
        full = {(e["RuleNumber"], e["Egress"]) for e in entries}
        assert {(1, False), (2, False)} <= full or {(1, True), (2, True)} <= full
        assert "before" in hint
        return
    after = apply(entries, hint)
    assert [denying_entry(after, flow) for flow in NEEDED] == [0, 0, 0]
    denied = Flow(outbound=False, ports=SSH, cidr="192.0.2.1/32")
    if denying_entry(entries, denied):
        assert denying_entry(after, denied), "what else was denied stays denied"
