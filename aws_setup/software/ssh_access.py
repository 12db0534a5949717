"""The step that connects to every machine over SSH, before any software step uses one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from aws_setup.aws.context import Context, Step
from aws_setup.aws.local_file import LocalFile
from aws_setup.config import Config
from aws_setup.config.paths import known_hosts_path
from aws_setup.engine.step import Found
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.routing import PUBLIC_ROUTING
from aws_setup.software.launch_keys import key_drift, launched_with_another_key, not_configured
from aws_setup.software.machines import (
    ZOOKEEPER,
    auto_scaled_components,
    machines_of,
    reachable,
    unlock_keys,
    zookeeper_machines,
)
from aws_setup.ssh.errors import ConnectionLost, HostKeyError, Unreachable
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.silence import why_silent
from aws_setup.ssh.survey import Question

NAME = "ssh"

T = TypeVar("T")


@dataclass(frozen=True)
class SshAccess(Step):
    """SSH works on every machine; their host keys are stored beside the receipt."""

    pool: MachinePool
    needs: tuple[str, ...]
    questions: Callable[[str, int], Sequence[Question]] = lambda step, index: ()
    """What this run asks of a machine: by its step, of an auto-scaled one by its Component tag, and
    by its index among the machines of that step.
    """
    name: str = NAME
    part: str = "software"

    def unlock(self, ctx: Context, *, applying: bool = False) -> None:
        """Ask for the key's passphrase, where machines can be reached, or will be.

        Raises:
            SetupError: the plan is about to be applied, and the key cannot be used.
        """
        unlock_keys(ctx, self.pool)
        if applying:
            self.pool.key_ring.unlock()

    def find(self, ctx: Context) -> Found | None:
        """Return how many machines answer now; None before any exists.

        Raises:
            SetupError: the private key or the OpenSSH configuration cannot be used.
        """
        if not self.pool.key_ring.locked or reachable(ctx):
            self.pool.check()
        machines = self._machines(ctx)
        if not machines:
            return None
        scaled = self._announce(ctx)
        lacks = next((step for step in PUBLIC_ROUTING if self._lacks(ctx, step)), "")
        tried = [*machines, *scaled]
        answers = self.pool.which_answer(tried, lacks=lacks)
        silent = [machine for machine, answer in zip(tried, answers, strict=True) if not answer]
        refusing = launched_with_another_key(ctx, silent)
        if others := {machine: key for machine, key in refusing.items() if machine in scaled}:
            ctx.warn(not_configured(ctx, others))
        drift = key_drift(ctx, {m: key for m, key in refusing.items() if m not in scaled})
        found = self._found(machines, reachable=sum(answers[: len(machines)]))
        return replace(found, drift=drift)

    def _lacks(self, ctx: Context, step: str) -> bool:
        return step in self.needs and step not in ctx.found

    def create(self, ctx: Context) -> Found:
        """Return the machines as not reachable yet; `wait` connects to them."""
        return self._found(self._machines(ctx), reachable=0)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when SSH works everywhere; raises SetupError with the stage that failed."""
        machines = self._machines(ctx)
        self.pool.wait_for_ssh(machines, note=ctx.note)
        for alias, key in sorted(self.pool.first_use.items()):
            ctx.note(f"{alias}: host key {key} trusted on first use")
        return self._found(machines, reachable=len(machines))

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the host keys."""
        self.pool.known_hosts.remove()

    def _announce(self, ctx: Context) -> list[Machine]:
        """Say what will be asked of each machine, so that all of it is asked in one command.

        Returns:
            the auto-scaled machines of which anything will be asked.
        """
        groups = {step: machines_of(ctx, self.pool, step) for step in self.needs}
        if not ctx.config.create_zookeeper_vms:
            groups[ZOOKEEPER] = zookeeper_machines(ctx, self.pool)
        for step, machines in groups.items():
            for index, machine in enumerate(machines):
                if machine.address:
                    self.pool.survey.expect(machine, self.questions(step, index))
        scaled = []
        for machine, component in auto_scaled_components(ctx, self.pool):
            if asked := self.questions(component, 0):
                self.pool.survey.expect(machine, asked)
                scaled.append(machine)
        return scaled

    def _machines(self, ctx: Context) -> list[Machine]:
        existing: list[Machine] = []
        if not ctx.config.create_zookeeper_vms and ctx.config.zk_node_public_IPs:
            existing = zookeeper_machines(ctx, self.pool)
        return [*machines_of(ctx, self.pool, *self.needs), *existing]

    def _found(self, machines: list[Machine], *, reachable: int) -> Found:
        known = self.pool.known_hosts
        keys = {machine.id: [str(key) for key in known.keys(machine.id)] for machine in machines}
        new = len(self.pool.first_use)
        answer = count_of(len(machines), "machine answers", "machines answer")
        remark = f"; host keys of {new} trusted on first use" if new else ""
        return Found(
            str(known.path),
            f"{reachable} of {answer}{remark}",
            {"known_hosts": str(known.path), "host_keys": keys},
            ready=reachable == len(machines),
        )


def is_reachable(machine: Machine) -> bool:
    """Tell whether SSH works on a machine now.

    Raises:
        HostKeyError: its host key has changed, which is no transient failure.
    """
    return why_silent(machine) is None


def unless_gone(
    machine: Machine, work: Callable[[Machine], T], *, note: Callable[[str], None]
) -> T | None:
    """Do something on an auto-scaled machine, which its group may end at any time.

    Returns:
        None where it does not answer any more, which is noted.

    Raises:
        HostKeyError: its host key has changed, which is no transient failure.
    """
    try:
        return work(machine)
    except HostKeyError:
        raise
    except (Unreachable, ConnectionLost) as error:
        note(f"{machine.name} does not answer any more: {error.problems[0].why}")
        return None


@dataclass(frozen=True)
class KnownHostsFile(LocalFile):
    """The deployment's known hosts on this computer; destroy deletes them with the machines."""

    name: str = "known hosts"

    def path(self, config: Config) -> Path:
        """Return where the file is."""
        return known_hosts_path(config)
