"""The file `<deployment>.ssh_config` beside the receipt: every machine by a short name, for ssh."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.config.paths import known_hosts_path, ssh_config_path
from aws_setup.engine.file_errors import fix_of
from aws_setup.engine.local_files import delete_file
from aws_setup.engine.private_files import write_private
from aws_setup.engine.step import Found
from aws_setup.engine.wording import shell_word
from aws_setup.errors import SetupError
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.vm_groups import VmGroup, vm_groups
from aws_setup.ssh.known_hosts import KnownHosts
from aws_setup.ssh.login_config import LoginHost, login_config, shown_path
from aws_setup.ssh.ssh_config import USER, SshRoute, SshSettings

CLIENT = "lambda-fs-client"
"""The short name of the λFS client VM."""

_ORDER = (CLIENT, "hopsfs-client", "ndb-manager", "ndb-data", "zookeeper")


@dataclass(frozen=True)
class MachineHost:
    """A machine: its short name, its id, and its addresses, '' where it has none."""

    name: str
    id: str
    private_ip: str
    public_ip: str


def login_command(config: Config, name: str, *, address: str = "") -> str:
    """Return the command that opens a shell on the machine with a short name.

    Where this computer has no such file, as on a second one, the `address` is named.
    """
    if address and not ssh_config_path(config).is_file():
        return f"ssh -i {shell_word(config.ssh_key_path)} {USER}@{address}"
    return f"ssh -F {shell_word(shown_path(ssh_config_path(config)))} {name}"


def machine_hosts(ctx: Context, found: Mapping[str, Found]) -> list[MachineHost]:
    """Return the machines that steps found, clients first; existing ZooKeeper VMs are among them.

    A machine whose Name tag is not one of its group's, or is another's too, is called by its id.
    """
    config = ctx.config
    hosts: list[MachineHost] = []
    for group in sorted(vm_groups(config), key=lambda group: _ORDER.index(group.role)):
        if group.step in found:
            hosts += _hosts_of(group, found[group.step])
    if not config.create_zookeeper_vms:
        hosts += [
            MachineHost(f"zookeeper-{index}", str(address), "", str(address))
            for index, address in enumerate(config.zk_node_public_IPs)
        ]
    return hosts


def _hosts_of(group: VmGroup, found: Found) -> Iterator[MachineHost]:
    used: set[str] = set()
    for machine in found.facts.get("instances", ()):
        name = group.host(machine["name"])
        if not name or name in used:
            name = f"{group.role}-{machine['id']}"
        used.add(name)
        addresses = (machine["private_ip"] or "", machine["public_ip"] or "")
        yield MachineHost(name, machine["id"], *addresses)


def update_login_file(ctx: Context, deleted: Collection[str] = ()) -> None:
    """Write the file for the machines that exist; without any, remove it.

    Args:
        ctx: the context of a run; machines that it did not look at are in its inventory.
        deleted: the steps whose machines the run has deleted.

    Raises:
        SetupError: it cannot be written or deleted, or a path in it is nothing that OpenSSH can
            read.
    """
    path = ssh_config_path(ctx.config)
    found = _machine_steps(ctx, deleted)
    hosts = machine_hosts(ctx, found)
    if not found:
        delete_file(path)
        return
    try:
        write_private(path, login_text(ctx.config, hosts))
    except OSError as error:
        raise SetupError(
            f"the OpenSSH configuration {path} cannot be written",
            error.strerror or str(error),
            fix_of(error, "make its folder one that you may write, and the file no folder"),
        ) from None


def _machine_steps(ctx: Context, deleted: Collection[str]) -> dict[str, Found]:
    """Return what exists of each group: --only looks at a part of them."""
    found: dict[str, Found] = {}
    for group in vm_groups(ctx.config):
        if group.step not in deleted:
            machines = ctx.found.get(group.step) or VmGroupStep(group).find(ctx)
            found |= {group.step: machines} if machines else {}
    return found


def login_text(config: Config, hosts: Sequence[MachineHost]) -> str:
    """Return the configuration for these machines, reached as the scripts reach them.

    Raises:
        SetupError: a path is nothing that OpenSSH can read in a configuration.
    """
    writer = _Writer(config, hosts)
    entries = [writer.host(host) for host in hosts if host.public_ip or host.private_ip]
    file = ssh_config_path(config)
    return login_config(config.deployment_name, file, [*entries, *writer.jumps.values()])


class _Writer:
    """Makes the entries; the jump hosts of the user's own configuration are collected."""

    def __init__(self, config: Config, hosts: Sequence[MachineHost]) -> None:
        self.config = config
        self.jumps: dict[str, LoginHost] = {}
        self._known = KnownHosts(known_hosts_path(config))
        self._key = Path(config.ssh_key_path)
        self._door = next((host for host in hosts if host.public_ip), None)
        try:
            self._settings: SshSettings | None = SshSettings(Path(config.ssh_config_path))
        except SetupError:
            # Where SSH is used the run has ended with this error; here the defaults do.
            self._settings = None

    def host(self, host: MachineHost) -> LoginHost:
        """Return a machine's entry; one without public address is reached through one that has."""
        route = self._route(host.public_ip or host.private_ip)
        direct = host.public_ip or route.jumps or route.proxy_command
        jump = ",".join(self._jump(text) for text in route.jumps)
        if not direct and self._door:
            jump = self._qualified(self._door.name)
        return LoginHost(
            names=(host.name, self._qualified(host.name)),
            route=route,
            keys=(self._key, *route.identity_files),
            known_hosts=(self._known.path,),
            host_key_alias=host.id,
            strict=self._is_strict(host.id),
            jump=jump,
        )

    def _route(self, address: str) -> SshRoute:
        if self._settings is None:
            return SshRoute(address, address, 22, USER)
        return self._settings.route(address)

    def _is_strict(self, alias: str) -> bool:
        return self.config.require_host_keys or bool(self._known.keys(alias))

    def _qualified(self, name: str) -> str:
        """Return a name that is unique when the files of several deployments are included."""
        return f"{name}.{self.config.deployment_name}"

    def _jump(self, text: str) -> str:
        """Return the name of the entry for one hop of a ProxyJump in the user's configuration."""
        if text not in self.jumps and self._settings is not None:
            name = self._qualified(f"jump-{len(self.jumps)}")
            route = self._settings.jump(text)
            alias = f"[{route.host}]:{route.port}"
            stored = bool(self._known.keys(alias))
            self.jumps[text] = LoginHost(
                names=(name,),
                route=route,
                keys=(self._key, *route.identity_files),
                known_hosts=(self._known.path,) if stored else route.known_hosts_files,
                host_key_alias=alias if stored else route.host_key_alias,
                strict=stored or self.config.require_host_keys,
            )
        return self.jumps[text].names[0]
