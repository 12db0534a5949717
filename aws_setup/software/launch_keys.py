"""Machines that refuse the key because they were launched with another key pair.

EC2 writes the public key to authorized_keys at the first boot and cannot change it later:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/replacing-key-pair.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.engine.step import Drift
from aws_setup.errors import Problem
from aws_setup.ssh.errors import ConnectStage
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.silence import why_silent
from aws_setup.ssh.ssh_config import USER


def launched_with_another_key(ctx: Context, silent: Sequence[Machine]) -> dict[Machine, str]:
    """Return the machines that refuse the key and have another key pair, with its name.

    Args:
        ctx: the run's context.
        silent: machines that the pool has found not to answer.
    """
    if not silent:
        return {}
    names = {item["InstanceId"]: item.get("KeyName", "") for item in ctx.inventory.all("instances")}
    return {
        machine: names[machine.id]
        for machine in silent
        if names.get(machine.id) not in {None, "", ctx.config.ssh_keypair_name}
        if _refuses_the_key(machine)
    }


def _refuses_the_key(machine: Machine) -> bool:
    error = why_silent(machine)
    return error is not None and error.stage is ConnectStage.KEY


def key_drift(ctx: Context, refusing: Mapping[Machine, str]) -> tuple[Drift, ...]:
    """Return the conflict of machines that refuse the key, one for each of their key pairs."""
    return tuple(
        Drift(
            f"key pair of {', '.join(machine.name for machine in machines)}",
            key,
            ctx.config.ssh_keypair_name,
            _fix(ctx.config, key, machines),
        )
        for key, machines in _by_key(refusing).items()
    )


def not_configured(ctx: Context, refusing: Mapping[Machine, str]) -> Problem:
    """Return the warning about machines of auto-scaling groups that refuse the key."""
    key, machines = next(iter(_by_key(refusing).items()))
    names = ", ".join(machine.name for machine in refusing)
    return Problem(
        f"not configured: {names}",
        f"they were launched with the key pair {key} and refuse that of "
        f"{ctx.config.ssh_keypair_name}; the machines that a group launches from now on have it",
        _fix(ctx.config, key, machines),
    )


def _by_key(refusing: Mapping[Machine, str]) -> dict[str, list[Machine]]:
    keys: dict[str, list[Machine]] = {}
    for machine, key in refusing.items():
        keys.setdefault(key, []).append(machine)
    return keys


def _fix(config: Config, key: str, machines: Sequence[Machine]) -> str:
    every = " (and the others)" if len(machines) > 1 else ""
    return (
        f"restore ssh_keypair_name: {key} with its ssh_key_path; or let the new key in, too, where "
        f"KEY is the private key of {key}: ssh-keygen -y -f {config.ssh_key_path} | "
        f"ssh -i KEY {USER}@{machines[0].address}{every} 'cat >> .ssh/authorized_keys'"
    )
