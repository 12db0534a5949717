"""The step that gets into every machine over SSH, before anything is done on one."""

from __future__ import annotations

from dataclasses import dataclass

from aws_setup.aws.context import Context, Step
from aws_setup.config.paths import known_hosts_path
from aws_setup.engine.step import Found
from aws_setup.software import machines as groups
from aws_setup.ssh import HostKeyError, Machine, MachinePool, Unreachable
from aws_setup.ssh.known_hosts import KnownHosts

NAME = "ssh"


@dataclass(frozen=True)
class SshAccess(Step):
    """Every machine lets us in; the deployment's known hosts are kept beside its receipt."""

    hosts: MachinePool
    needs: tuple[str, ...]
    name: str = NAME
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return how many machines let us in at once; None before there are any.

        Raises:
            SetupError: the private key or the OpenSSH configuration cannot be used.
        """
        self.hosts.check()
        machines = self._machines(ctx)
        if not machines:
            return None
        answers = self.hosts.each(machines, is_reachable)
        return self._found(machines, reached=sum(answers))

    def create(self, ctx: Context) -> Found:
        """Say that the machines are to be waited for."""
        return self._found(self._machines(ctx), reached=0)

    def wait(self, ctx: Context, found: Found) -> Found:
        """Return when every machine lets us in; raises SetupError with the layer that failed."""
        machines = self._machines(ctx)
        self.hosts.wait_for_ssh(machines, note=ctx.note)
        for alias, key in sorted(self.hosts.first_use.items()):
            ctx.note(f"{alias}: host key {key} trusted on first use")
        return self._found(machines, reached=len(machines))

    def delete(self, ctx: Context, found: Found) -> None:
        """Forget the host keys."""
        self.hosts.known_hosts.remove()

    def _machines(self, ctx: Context) -> list[Machine]:
        if not ctx.config.create_zookeeper_vms and ctx.config.zk_node_public_IPs:
            adopted = list(groups.zookeeper_machines(ctx, self.hosts))
        else:
            adopted = []
        return [*groups.machines(ctx, self.hosts, *self.needs), *adopted]

    def _found(self, machines: list[Machine], *, reached: int) -> Found:
        known = self.hosts.known_hosts
        keys = {machine.id: [str(key) for key in known.keys(machine.id)] for machine in machines}
        new = len(self.hosts.first_use)
        said = f"; host keys of {new} trusted on first use" if new else ""
        return Found(
            str(known.path),
            f"{reached} of {len(machines)} machines answer{said}",
            {"known_hosts": str(known.path), "host_keys": keys},
            ready=reached == len(machines),
        )


def is_reachable(machine: Machine) -> bool:
    """Tell whether a machine lets us in now; a changed host key is never taken for 'not yet'."""
    try:
        machine.connect()
    except HostKeyError:
        raise
    except Unreachable:
        return False
    return True


@dataclass(frozen=True)
class KnownHostsFile(Step):
    """The deployment's known hosts on this computer, which go when the machines go."""

    name: str = "known hosts"
    part: str = "software"

    def find(self, ctx: Context) -> Found | None:
        """Return the file, None when there is none."""
        path = known_hosts_path(ctx.config)
        return Found(str(path)) if path.exists() else None

    def create(self, ctx: Context) -> Found:
        """Do nothing: the file is written when a machine is first reached."""
        return Found(str(known_hosts_path(ctx.config)))

    def delete(self, ctx: Context, found: Found) -> None:
        """Remove the file."""
        KnownHosts(known_hosts_path(ctx.config)).remove()
