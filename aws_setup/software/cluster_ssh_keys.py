"""The step that lets the client VMs reach the other machines over SSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.software import ssh_access
from aws_setup.software.machines import SERVICES_DOWN, any_stopped, machines, scaled_machines
from aws_setup.ssh import Machine, MachinePool

SSH = "/home/ubuntu/.ssh"
PRIVATE, PUBLIC, AUTHORIZED = f"{SSH}/id_rsa", f"{SSH}/id_rsa.pub", f"{SSH}/authorized_keys"

CLIENTS = ("lambda-fs client", "hopsfs client")
"""The steps of the VMs from which experiments are driven."""

_MAKE = """\
set -eu
umask 077
mkdir -p "$1"
key=$1/id_rsa
if [ -e "$key" ] && ! grep -qsF -- "$2" "$key.pub"; then
  mv -f -- "$key" "$key.of-the-image"
  [ ! -e "$key.pub" ] || mv -f -- "$key.pub" "$key.of-the-image.pub"
fi
[ -e "$key" ] || ssh-keygen -q -t rsa -b 3072 -N '' -C "$2" -f "$key" < /dev/null
"""
"""Arguments: folder, the key's comment. A key of the image is public: it is put aside, not used."""


@dataclass(frozen=True)
class ClusterSshKeys(Step):
    """A key pair on each client VM, made there and authorised on every machine.

    Machines that an auto-scaling group started since are let in by the next run.
    With copy_operator_key the operator's own private key is on the client VMs instead.
    """

    hosts: MachinePool
    clients: tuple[str, ...]
    needs: tuple[str, ...]
    name: str = "ssh between machines"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Ask the clients for their keys and every machine for those that it lets in."""
        clients = machines(ctx, self.hosts, *self.clients)
        if not clients:
            return None
        everyone = self._all(ctx)
        if any_stopped(everyone):
            return Found(_ids(clients), "stopped", drift=(SERVICES_DOWN,))
        if ctx.config.copy_operator_key:
            return self._find_copies(ctx, clients)
        keys = self.hosts.each(clients, lambda client: _machine_key(ctx, client))
        if not any(keys):
            return None
        wanted = [key for key in keys if key]
        everyone += self._scaled(ctx)
        missing = self.hosts.each(everyone, lambda m: _authorised(ctx, m, wanted) is not None)
        late = [machine.name for machine, lacks in zip(everyone, missing, strict=True) if lacks]
        drift = [Drift("authorized_keys", "without them", ", ".join(late))] if late else []
        if len(wanted) < len(clients):
            drift.append(Drift("key pairs", str(len(wanted)), str(len(clients))))
        return Found(_ids(clients), "authorised" if not drift else "incomplete", drift=tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Make the keys on the clients and authorise them on every machine; safe to repeat."""
        clients = machines(ctx, self.hosts, *self.clients)
        if ctx.config.copy_operator_key:
            return self._copy(ctx, clients)
        keys = self.hosts.each(clients, lambda client: _make_key(ctx, client))
        everyone = self._all(ctx) + self._scaled(ctx)
        self.hosts.each(everyone, lambda machine: _authorise(ctx, machine, keys))
        return Found(_ids(clients), "authorised")

    def _all(self, ctx: Context) -> list[Machine]:
        steps = [need for need in self.needs if need in ctx.found and need != ssh_access.NAME]
        return machines(ctx, self.hosts, *steps)

    def _scaled(self, ctx: Context) -> list[Machine]:
        """Return the auto-scaled machines that answer; such a machine may boot or end any time."""
        running = scaled_machines(ctx, self.hosts)
        answers = self.hosts.each(running, ssh_access.is_reachable)
        for machine, answer in zip(running, answers, strict=True):
            if not answer:
                ctx.note(f"{machine.name} does not answer yet: run this again to let clients in")
        return [machine for machine, answer in zip(running, answers, strict=True) if answer]

    def _find_copies(self, ctx: Context, clients: list[Machine]) -> Found | None:
        own = _operator_key(ctx)
        there = self.hosts.each(clients, lambda client: client.read(PRIVATE) == own)
        if not any(there):
            return None
        drift = () if all(there) else (Drift("operator's key", "on some clients", "on all"),)
        return Found(_ids(clients), "operator's key copied", drift=drift)

    def _copy(self, ctx: Context, clients: list[Machine]) -> Found:
        ctx.note(
            "copy_operator_key: your private key goes onto the client VMs, where everybody with "
            "access to them can read it"
        )
        key = _operator_key(ctx)
        self.hosts.each(clients, lambda client: client.write(PRIVATE, key, mode=0o600))
        return Found(_ids(clients), "operator's key copied")


def _ids(clients: Sequence[Machine]) -> str:
    return ", ".join(client.id for client in clients)


def _operator_key(ctx: Context) -> str:
    try:
        return Path(ctx.config.ssh_key_path).read_text(encoding="utf-8")
    except OSError as error:
        raise SetupError(
            f"{ctx.config.ssh_key_path} cannot be read",
            str(error.strerror),
            "correct ssh_key_path, or set copy_operator_key: False",
        ) from error


def _comment(ctx: Context, client_id: str) -> str:
    return f"lambda-fs:{ctx.config.deployment_name}:{client_id}"


def _machine_key(ctx: Context, client: Machine) -> str | None:
    """Return the public key that this setup made on a client; None when it made none."""
    text = (client.read(PUBLIC) or "").strip()
    return text if text.endswith(" " + _comment(ctx, client.id)) else None


def _make_key(ctx: Context, client: Machine) -> str:
    command = ["sh", "-c", _MAKE, "lambda-fs", SSH, _comment(ctx, client.id)]
    client.run(command, timeout=120, repeatable=True)
    key = _machine_key(ctx, client)
    if key is None:
        raise SetupError(
            f"{client} has no public key after ssh-keygen",
            f"{PUBLIC} does not carry this deployment's mark",
            f"look at {SSH} on that machine, then run this again",
        )
    return key


def authorized_text(before: str, prefix: str, keys: Sequence[str]) -> str | None:
    """Return authorized_keys with exactly these keys of ours; None when it is so already.

    Other lines stay as they are; ours, told by their comment, go when their client is gone.
    """
    lines = before.splitlines()
    kept = [line for line in lines if not line.split(" ")[-1].startswith(prefix)]
    ours = [line for line in lines if line not in kept]
    if set(ours) == set(keys) and len(ours) == len(keys):
        return None
    return "".join(f"{line}\n" for line in [*kept, *keys])


def _authorised(ctx: Context, machine: Machine, keys: Sequence[str]) -> str | None:
    return authorized_text(machine.read(AUTHORIZED) or "", _comment(ctx, ""), keys)


def _authorise(ctx: Context, machine: Machine, keys: Sequence[str]) -> None:
    text = _authorised(ctx, machine, keys)
    if text is not None:
        machine.write(AUTHORIZED, text, mode=0o600)
