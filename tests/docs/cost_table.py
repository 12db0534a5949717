"""The table of docs/costs.md: what each profile costs in each state, computed from the steps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from aws_setup.aws.context import Step
from aws_setup.aws.pricing import TABLE
from aws_setup.config import Config
from aws_setup.config.profiles import PROFILES
from aws_setup.eks.node_groups import NodeGroup
from aws_setup.eks.node_launch_template import node_group_specs
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.nat_gateway import ElasticIp, NatGateway
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.tables.cluster import cluster_steps
from aws_setup.tables.infrastructure import infrastructure_steps

PATH = Path(__file__).resolve().parents[2] / "docs" / "costs.md"

STOPPED = (VmGroupStep, AutoScalingGroup, NodeGroup)
"""Steps that cost nothing during a pause but for the VMs' disks."""

DELETED = (ElasticIp, NatGateway)
"""Steps that `pause --deep` deletes."""

HEAD = """\
| `profile` | VMs | nodes | NameNodes | running | paused | `pause --deep` | destroyed |
|---|---|---|---|---|---|---|---|
"""
_TABLE = re.compile(re.escape(HEAD) + r"(\|.*\n)+")


def costs_text() -> str:
    """Return docs/costs.md with the table of what the product creates now."""
    rows = "".join(_row(profile) for profile in PROFILES)
    return _TABLE.sub(lambda _: HEAD + rows, PATH.read_text(encoding="utf-8"))


def hourly(config: Config, *, without: tuple[type[Step], ...] = ()) -> float:
    """Return US dollars an hour in us-east-1 of both scripts' steps, some of them left out."""
    steps = [*infrastructure_steps(config), *cluster_steps(config)]
    kept = [step for step in steps if not step.adopted and not isinstance(step, without)]
    charges = [charge for step in kept for charge in step.charges(config)]
    return sum(charge.count * TABLE[charge.key] for charge in charges)


def _row(profile: str) -> str:
    config = Config.model_validate(
        {**PROFILES[profile], "profile": profile, "ssh_keypair_name": "k", "ssh_key_path": "k"}
    )
    states = ((), STOPPED, (*STOPPED, *DELETED))
    prices = " | ".join(f"${hourly(config, without=without):.2f}" for without in states)
    vms = _counted((group.instance_type, group.count) for group in vm_groups(config))
    nodes = _counted((spec.instance_type, spec.count) for spec in node_group_specs(config))
    actions = f"{config.num_namenode_deployments} of {config.openwhisk_action_memory:,} MB"
    default = " (default)" if profile == "paper" else ""
    return f"| `{profile}`{default} | {vms} | {nodes} | {actions} | {prices} | $0 |\n"


def _counted(machines: Iterable[tuple[str, int]]) -> str:
    counts: Counter[str] = Counter()
    for kind, count in machines:
        counts[kind] += count
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
