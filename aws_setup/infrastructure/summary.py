"""The summary after a run: the machines and the ssh command for each."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aws_setup.config import Config
from aws_setup.engine.step import Found

SSH_USER = "ubuntu"
"""The user of every λFS AMI (λFS's setup instructions)."""


def machines(found: Mapping[str, Found]) -> list[Mapping[str, Any]]:
    """Return every VM that the steps found, sorted by name: id, name, private_ip and public_ip."""
    listed: list[Mapping[str, Any]] = []
    for resource in found.values():
        listed.extend(resource.facts.get("instances", ()))
    return sorted(listed, key=lambda machine: str(machine["name"]))


def ssh_command(config: Config, machine: Mapping[str, Any]) -> str:
    """Return the command that opens a shell on a machine."""
    key = shlex.quote(str(config.ssh_key_path))
    return f"ssh -i {key} {SSH_USER}@{machine['public_ip'] or machine['private_ip']}"


def summary_lines(config: Config, found: Mapping[str, Found]) -> Sequence[str]:
    """Return the last lines of a successful create: each machine with its ssh command."""
    listed = machines(found)
    width = max((len(str(machine["name"])) for machine in listed), default=0)
    lines = [
        f"{machine['name']:<{width}}  {machine['private_ip']:<15}  {ssh_command(config, machine)}"
        for machine in listed
    ]
    return ["", "Machines (name, private address, ssh command):", *lines, ""] if lines else []


def hours_since(found: Found, now: datetime) -> float:
    """Return the hours since a resource was created; 0 when AWS does not report it."""
    return max(0.0, (now - found.since).total_seconds() / 3600) if found.since else 0.0
