"""The files of benchmarks.peers make what the straight line makes, and nothing is installed here.

A stand-in for AWS's CLI writes down what the shell scripts ask for; it checks no argument, the
benchmark's run with the real one does. The playbook is compared by its tasks.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.scripts import register_key

peers, floor, everything = (  # programs, which mypy checks as such
    import_module(f"benchmarks.{name}") for name in ("peers", "floor", "__main__")
)
AWS = """#!/bin/sh
set -f
if [ "$1" = --output ]; then shift 2; fi
echo $* >> "$CALLS"
echo "id-of-$2"
"""
"""Writes each call on a line, without the line breaks of its arguments, and answers with an id."""


def asked(script: str, folder: Path) -> list[str]:
    """Return the calls of a shell script."""
    (folder / "aws").write_text(AWS)
    (folder / "aws").chmod(0o755)
    own = {"PATH": f"{folder}:/usr/bin:/bin", "CALLS": str(folder / "calls")}
    command = ["sh", str(peers.FILES / script)]
    subprocess.run(command, cwd=folder, env=own | peers.names(), check=True, timeout=240)
    return (folder / "calls").read_text().splitlines()


def counted(lines: list[str]) -> Counter[str]:
    """Return how often each action is called; waits are no action."""
    words = [line.split()[:2] for line in lines]
    camel = {name: "".join(map(str.capitalize, name.split("-"))) for _, name in words}
    return Counter(f"{service}.{camel[name]}" for service, name in words if name != "wait")


def made(cloud: RehearsalCloud, folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Return the writes of the straight line's create, and all calls of its check."""
    register_key(folder, peers.KEY, "us-east-1")
    before = len(cloud.calls)
    floor.create(client, peers.KEY)
    written = Counter(call.name for call in cloud.calls[before:] if not call.reads)
    before = len(cloud.calls)
    floor.check(client, peers.KEY)
    return written, Counter(call.name for call in cloud.calls[before:])


def test_the_shell_scripts_make_the_straight_lines_calls(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    created, checked = made(cloud, tmp_path)
    (tmp_path / "create").mkdir()
    (tmp_path / "check").mkdir()
    lines = asked("create.sh", tmp_path / "create")
    reads = {"eks.DescribeCluster": 1}
    assert counted(lines) == created + Counter(reads)
    assert counted(asked("check.sh", tmp_path / "check")) == checked
    text = "\n".join(lines)
    for protocol, first, last in floor.NODE_PORTS:
        assert text.count(f"IpProtocol={protocol},FromPort={first},ToPort={last},") == 1
    for address in floor.ADDRESSES:
        assert text.count(f"--cidr {address}/32 ") == 1
        assert text.count(f"--private-ip-address {address} ") == 1
    for image, count in launches().items():
        found = [line for line in lines if f"--image-id {image} " in line]
        assert sum(int(line.partition("--count ")[2].split()[0]) for line in found) == count
    assert text.count(f'"ImageId":"{floor.SCALED_AMI}"') == len(floor.SCALED)
    assert all(f"--auto-scaling-group-name {name} " in text for name in floor.SCALED)


def launches() -> dict[str, int]:
    """Return each image of the straight line, and how many machines it launches from it."""
    return {
        **dict.fromkeys(floor.NDB_AMIS, 2),
        **dict.fromkeys(floor.SINGLE_AMIS, 1),
        floor.ZOOKEEPER_AMI: len(floor.ADDRESSES),
    }


def tasks() -> dict[str, list[Any]]:
    """Return the playbook's tasks: module, without its collection -> arguments and loop."""
    (play,) = yaml.safe_load((peers.FILES / "playbook.yaml").read_text(encoding="utf-8"))
    found: dict[str, list[Any]] = {}
    for task in play["tasks"]:
        (module,) = task.keys() - {"loop", "register"}
        arguments = task[module] | ({"loop": task["loop"]} if "loop" in task else {})
        found.setdefault(module.rpartition(".")[2], []).append(arguments)
    return found


def ports(rule: dict[str, Any]) -> set[tuple[str, int, int]]:
    """Return a rule of the playbook as the straight line writes it."""
    pairs = [str(port).partition("-") for port in rule["ports"]]
    return {(rule["proto"], int(first), int(last or first)) for first, _, last in pairs}


def test_the_playbook_has_a_task_for_each_kind_and_the_same_values() -> None:
    found, given = tasks(), peers.variables(Path("python"))
    numbers = {module: len(all_of) for module, all_of in found.items()}
    twice = {"ec2_vpc_route_table": 2, "ec2_security_group": 2}
    once = (
        *("iam_role", "ec2_vpc_net", "ec2_vpc_subnet", "set_fact", "ec2_vpc_igw"),
        *("ec2_vpc_nat_gateway", "eks_cluster"),
        *("ec2_instance", "ec2_launch_template", "autoscaling_group"),
    )
    assert numbers == dict.fromkeys(once, 1) | twice
    (role,) = found["iam_role"]
    assert role["assume_role_policy_document"] == floor.TRUST
    assert role["managed_policies"] == [floor.POLICY]
    assert found["ec2_vpc_subnet"][0]["loop"] == [0, 1, 2, 3]
    rules = found["ec2_security_group"][1]["rules"]
    assert set.union(*map(ports, rules)) == set(floor.NODE_PORTS)
    counts: Counter[str] = Counter()
    for machine in given["machines"]:
        counts[machine["image"]] += machine["count"]
    assert counts == launches()
    addresses = [machine.get("address") for machine in given["machines"]]
    assert tuple(filter(None, addresses)) == floor.ADDRESSES
    assert (given["scaled"], given["scaled_image"]) == (floor.SCALED, floor.SCALED_AMI)


@pytest.mark.parametrize(("words", "runs"), [([], False), (["--only", "peers"], True)])
def test_the_peers_are_installed_only_if_they_are_named(
    words: list[str], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def record(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", record)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    everything.main()
    assert started
    assert any("benchmarks.peers" in command for command in started) is runs
