"""The step that gives the client VMs SSH access to the other machines."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aws_setup.aws.context import Context, Step
from aws_setup.engine.decoding import read_text
from aws_setup.engine.step import Drift, Found
from aws_setup.errors import SetupError
from aws_setup.software import ssh_access
from aws_setup.software.client_keys import (
    AUTHORIZED,
    GENERATE_KEY,
    PRIVATE,
    PUBLIC,
    SSH,
    PrivateKey,
    pair_with,
    private_keys,
    remove_keys,
)
from aws_setup.software.machines import (
    SERVICES_STOPPED,
    any_stopped,
    auto_scaled_machines,
    await_launched,
    machines_of,
)
from aws_setup.ssh.files import KEPT, digest_of
from aws_setup.ssh.keys import KeyRing, inspect_key, readable_by_java
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.survey import Survey

T = TypeVar("T")


@dataclass(frozen=True)
class ClusterSshKeys(Step):
    """A key pair on each client VM, generated on that VM and authorised on every machine.

    Machines that an auto-scaling group launches later get the keys in the next run. With
    copy_operator_key the client VMs have the operator's private key instead, and without it any
    longer it is removed. There is nothing to delete: the keys are on the machines' disks.
    """

    pool: MachinePool
    clients: tuple[str, ...]
    needs: tuple[str, ...]
    name: str = "ssh between machines"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Read the clients' keys and every machine's authorized_keys."""
        clients = machines_of(ctx, self.pool, *self.clients)
        if not clients:
            return None
        machines = self._machines(ctx)
        if any_stopped(machines):
            return Found(_ids(clients), "stopped", drift=(SERVICES_STOPPED,))
        if ctx.config.copy_operator_key:
            return self._find_copies(ctx, clients)
        await_launched(ctx, self.pool)
        survey = self.pool.survey
        found = self.pool.each(clients, lambda client: _keys_of(ctx, client, survey))
        keys = [keys.generated for keys in found if keys.generated]
        if not keys:
            return None
        texts = self._each(ctx, machines, lambda m: survey.read(m, AUTHORIZED) or "")
        lacking = [
            machine.name
            for machine, text in texts
            if authorized_text(text, _comment(ctx, ""), keys) is not None
        ]
        drift = [Drift("authorized_keys", "keys missing", ", ".join(lacking))] if lacking else []
        if len(keys) < len(clients):
            drift.append(Drift("key pairs", str(len(keys)), str(len(clients))))
        exposed = [one.name for one, keys in zip(clients, found, strict=True) if keys.copies]
        if exposed:
            drift.append(Drift("operator's key", f"on {', '.join(exposed)}", "removed"))
        return Found(_ids(clients), "incomplete" if drift else "authorised", drift=tuple(drift))

    def create(self, ctx: Context) -> Found:
        """Generate the keys on the clients and authorise them everywhere; safe to repeat."""
        clients = machines_of(ctx, self.pool, *self.clients)
        if ctx.config.copy_operator_key:
            return self._copy(ctx, clients)
        await_launched(ctx, self.pool)
        self.pool.each(clients, lambda client: _remove_copies(ctx, client))
        keys = self.pool.each(clients, lambda client: _generate_key(ctx, client))
        self._each(ctx, self._machines(ctx), lambda machine: _authorise(ctx, machine, keys))
        return Found(_ids(clients), "authorised")

    def _machines(self, ctx: Context) -> list[Machine]:
        steps = [need for need in self.needs if need in ctx.found and need != ssh_access.NAME]
        return machines_of(ctx, self.pool, *steps)

    def _each(
        self, ctx: Context, machines: Sequence[Machine], work: Callable[[Machine], T]
    ) -> list[tuple[Machine, T]]:
        """Do something on machines and on the auto-scaled ones; of those that answer, its result.

        `work` must not return None.
        """
        scaled = self._auto_scaled(ctx)

        def do(machine: Machine) -> T | None:
            if machine in scaled:
                return ssh_access.unless_gone(machine, work, note=ctx.note)
            return work(machine)

        everything = [*machines, *scaled]
        results = zip(everything, self.pool.each(everything, do), strict=True)
        return [(machine, result) for machine, result in results if result is not None]

    def _auto_scaled(self, ctx: Context) -> list[Machine]:
        """Return the reachable auto-scaled machines; others may be booting or terminating."""
        running = auto_scaled_machines(ctx, self.pool)
        answers = self.pool.each(running, ssh_access.is_reachable)
        for machine, answer in zip(running, answers, strict=True):
            if not answer:
                ctx.note(f"{machine.name} does not answer yet: run this again to authorise clients")
        return [machine for machine, answer in zip(running, answers, strict=True) if answer]

    def _find_copies(self, ctx: Context, clients: list[Machine]) -> Found | None:
        key = _operator_key(ctx)
        survey = self.pool.survey
        copied = self.pool.each(clients, lambda client: _has_copy(client, key, survey))
        if not any(copied):
            return None
        drift = () if all(copied) else (Drift("operator's key", "on some clients", "on all"),)
        return Found(_ids(clients), "operator's key copied", drift=drift)

    def _copy(self, ctx: Context, clients: list[Machine]) -> Found:
        ctx.note(
            "copy_operator_key: copying your private key to the client VMs, where every user with "
            "access to them can read it"
        )
        key = _operator_key(ctx)
        self.pool.each(clients, lambda client: _write_copy(client, key))
        return Found(_ids(clients), "operator's key copied")


def _ids(clients: Sequence[Machine]) -> str:
    return ", ".join(client.id for client in clients)


def _operator_key(ctx: Context) -> str:
    path = Path(ctx.config.ssh_key_path)
    hint = "correct ssh_key_path, or set copy_operator_key: False"
    try:
        return readable_by_java(read_text(path, what="the private key", hint=hint))
    except FileNotFoundError:
        raise SetupError(f"{path} cannot be read", "there is no such file", hint) from None


def _has_copy(client: Machine, key: str, survey: Survey) -> bool:
    return survey.read(client, PRIVATE) == key and survey.read(client, PUBLIC) is None


def _write_copy(client: Machine, key: str) -> None:
    """Write the key without a public one: ssh(1) then takes it from the private key.

    From one with a passphrase it cannot be computed here.
    """
    client.write(PRIVATE, key, mode=0o600)
    client.run(["rm", "-f", "--", PUBLIC], repeatable=True)


@dataclass(frozen=True)
class _ClientKeys:
    """A client's generated public key, and its files that hold the operator's private key."""

    generated: str | None
    copies: tuple[PrivateKey, ...]


def _keys_of(ctx: Context, client: Machine, survey: Survey) -> _ClientKeys:
    keys = private_keys(client, survey)
    generated = pair_with(_comment(ctx, client.id), survey.read(client, PUBLIC), keys)
    others = [key for key in keys if not generated or key.path != PRIVATE]
    return _ClientKeys(generated, _copies(ctx, others))


def _copies(ctx: Context, keys: Sequence[PrivateKey]) -> tuple[PrivateKey, ...]:
    """Return those that are the operator's, in the same file or in another format.

    An operator whose key is in an agent alone has no file that could have been copied.
    """
    if not keys:
        return ()
    try:
        digest = digest_of(_operator_key(ctx))
    except SetupError:
        return ()
    public = _public_part(Path(ctx.config.ssh_key_path))
    return tuple(key for key in keys if key.digest == digest or (public and key.public == public))


def _public_part(path: Path) -> str:
    """Return the public part of a private key in Base64; '' where its passphrase hides it."""
    try:
        file = inspect_key(path)
        blob = file.public if file.locked else next(KeyRing(path).keys_to_offer()).asbytes()
    except SetupError:
        return ""
    return b64encode(blob).decode()


def _remove_copies(ctx: Context, client: Machine) -> None:
    copies = _keys_of(ctx, client, Survey()).copies
    if copies:
        ctx.note(f"removing your private key, which was copied before, from {client.name}")
        remove_keys(client, copies)


def _comment(ctx: Context, client_id: str) -> str:
    return f"lambda-fs:{ctx.config.deployment_name}:{client_id}"


def _generate_key(ctx: Context, client: Machine) -> str:
    command = ["sh", "-c", GENERATE_KEY, "lambda-fs", SSH, _comment(ctx, client.id)]
    printed = client.run(command, timeout=120, repeatable=True).stdout
    if KEPT in printed.splitlines():
        ctx.note(f"{client.name}: the key of the image is kept in {PRIVATE}.of-the-image")
    key = _keys_of(ctx, client, Survey()).generated
    if key is None:
        raise SetupError(
            f"{client} has no public key after ssh-keygen",
            f"{PUBLIC} does not end with this deployment's comment, or is not that of {PRIVATE}",
            f"check {SSH} on that machine, then run the same command again",
        )
    return key


def authorized_text(current: str, prefix: str, keys: Sequence[str]) -> str | None:
    """Return authorized_keys with exactly these keys of this deployment; None if unchanged.

    A key is the deployment's if its comment starts with `prefix`: those of deleted clients are
    removed. All other lines are kept.
    """
    lines = current.splitlines()
    kept = [line for line in lines if not line.split(" ")[-1].startswith(prefix)]
    owned = [line for line in lines if line not in kept]
    if set(owned) == set(keys) and len(owned) == len(keys):
        return None
    return "".join(f"{line}\n" for line in [*kept, *keys])


def _with_keys(ctx: Context, machine: Machine, keys: Sequence[str]) -> str | None:
    return authorized_text(machine.read(AUTHORIZED) or "", _comment(ctx, ""), keys)


def _authorise(ctx: Context, machine: Machine, keys: Sequence[str]) -> bool:
    text = _with_keys(ctx, machine, keys)
    return text is not None and machine.write(AUTHORIZED, text, mode=0o600)
