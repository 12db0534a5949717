"""The step that brings the configuration files of all clients to this deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.software.clients import benchmark
from aws_setup.software.clients.desired import (
    BENCHMARK,
    ENDPOINT,
    KINDS,
    LAMBDA_FS,
    ClientKind,
    DeploymentFacts,
    NdbLogin,
    endpoint_url,
    ndb_values,
    site_values,
)
from aws_setup.software.clients.login import PUBLISHED, choose, client_login
from aws_setup.software.clients.namenode_record import (
    NameNodeRecord,
    configured_record,
    read_record,
    stored_record,
)
from aws_setup.software.clients.remote_files import files_of, read_files, replace_file
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.machines import (
    ZOOKEEPER,
    any_stopped,
    auto_scaled_components,
    await_launched,
    machines_of,
    not_checked,
    unlock_keys,
    zookeeper_machines,
)
from aws_setup.software.ssh_access import is_reachable, unless_gone
from aws_setup.software.zookeeper.steps import private_address
from aws_setup.ssh.errors import ConnectionLost, Unreachable, combine_errors
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.survey import Survey

NAME = "client configuration"
NO_CLIENTS = "there is no client VM"
WAITS = "serverless.endpoint is set when OpenWhisk has an address"


@dataclass(frozen=True)
class ClientFiles:
    """A client VM, and its files as they were read: path -> content."""

    machine: Machine
    kind: ClientKind
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class FileChange:
    """A file of a client that differs: the content to write, and the names of what differs."""

    client: ClientFiles
    path: str
    content: bytes
    names: tuple[str, ...]

    @property
    def drift(self) -> Drift:
        """The difference without any value: some are secret."""
        name = self.path.rpartition("/")[2]
        return Drift(
            f"{self.client.machine.name}: {name}", ", ".join(self.names), "this deployment's"
        )


@dataclass(frozen=True)
class ClientConfiguration(Step):
    """The clients' hdfs-site.xml, ndb-config.properties and config.yaml, for this deployment.

    Only named properties are written. The auto-scaled machines are configured, too;
    those that a group launches later are configured by the next run. There is nothing to delete:
    the files are on the machines' disks.

    `api_host` returns OpenWhisk's API host as a URL, '' while it is not known. With `lookup` the
    step finds the VMs itself, for scripts that have no steps for them.
    """

    pool: MachinePool
    api_host: Callable[[Config], str]
    needs: tuple[str, ...] = ()
    lookup: bool = False
    name: str = NAME
    part: str = "software"

    def unlock(self, ctx: Context, *, applying: bool = False) -> None:
        """Ask for the key's passphrase, where clients can be reached."""
        unlock_keys(ctx, self.pool)

    def find(self, ctx: Context) -> Found | None:
        """Read the files of every client that runs, and compare them with the deployment.

        Raises:
            Refused: a file of a client cannot be edited; it names client, file and cause.
        """
        ctx = self._with_machines(ctx)
        steps = [kind.step for kind in KINDS if kind.step in ctx.found]
        if not steps:
            return Found("", skipped=NO_CLIENTS) if self.lookup else None
        machines = machines_of(ctx, self.pool, *steps)
        if any_stopped(machines):
            if self.lookup:
                return Found("", skipped="client VMs are stopped: create starts them")
            stopped = [machine.name for machine in machines if not machine.address]
            return Found(_ids(machines), not_checked(", ".join(stopped)))
        await_launched(ctx, self.pool)
        clients, unreachable = self._read(ctx, self.pool.survey)
        facts = self._facts(ctx, clients)
        drift = [change.drift for change in self._changes(ctx, clients, facts)]
        if unreachable and not drift:
            raise combine_errors(unreachable)
        drift += [Drift("a client", error.problems[0].what, "reachable") for error in unreachable]
        return _found(clients, facts, drift)

    def create(self, ctx: Context) -> Found:
        """Write the files that differ, each atomically, with a copy of the original beside it.

        Raises:
            SetupError: a client cannot be reached; the others are configured.
        """
        ctx = self._with_machines(ctx)
        await_launched(ctx, self.pool)
        clients, unreachable = self._read(ctx)
        facts = self._facts(ctx, clients)
        changes = self._changes(ctx, clients, facts)
        for change in changes:
            ctx.note(f"{change.drift.what}: {change.drift.has}")
        for kept in filter(None, self.pool.each(changes, _write)):
            ctx.note(kept)
        if unreachable:
            raise combine_errors(unreachable)
        return _found(clients, facts, [])

    def _with_machines(self, ctx: Context) -> Context:
        """Return the context with the machines' steps; found here where no step has."""
        if not self.lookup:
            return ctx
        found = dict(ctx.found)
        for group in vm_groups(ctx.config):
            if group.step in {"ndb manager", ZOOKEEPER, *(kind.step for kind in KINDS)}:
                machines = VmGroupStep(group).find(ctx)
                if machines:
                    found[group.step] = machines
        return replace(ctx, found=found)

    def _read(
        self, ctx: Context, survey: Survey | None = None
    ) -> tuple[list[ClientFiles], list[SetupError]]:
        """Return every client with its files, read in parallel, and why others are not among them.

        One command is sent to each that the survey has not read. An auto-scaled client that does
        not answer is noted only.
        """
        targets = [
            (machine, kind) for kind in KINDS for machine in machines_of(ctx, self.pool, kind.step)
        ]
        scaled = self._auto_scaled(ctx)

        def read(target: tuple[Machine, ClientKind]) -> ClientFiles | SetupError | None:
            machine, kind = target
            if target in scaled:
                return unless_gone(machine, lambda m: _read_client(m, kind, survey), note=ctx.note)
            try:
                return _read_client(machine, kind, survey)
            except (Unreachable, ConnectionLost) as error:
                return _named(machine, error)

        answers = self.pool.each([*targets, *scaled], read)
        return (
            [answer for answer in answers if isinstance(answer, ClientFiles)],
            [answer for answer in answers if isinstance(answer, SetupError)],
        )

    def _auto_scaled(self, ctx: Context) -> list[tuple[Machine, ClientKind]]:
        """Return the reachable auto-scaled clients; others may be booting or terminating."""
        machines = self._scaled_by_component(ctx)
        answers = self.pool.each([machine for machine, _ in machines], is_reachable)
        for (machine, _), answer in zip(machines, answers, strict=True):
            if not answer:
                ctx.note(f"{machine.name} does not answer yet: run this again to configure it")
        return [item for item, answer in zip(machines, answers, strict=True) if answer]

    def _scaled_by_component(self, ctx: Context) -> list[tuple[Machine, ClientKind]]:
        return [
            (machine, kind)
            for machine, component in auto_scaled_components(ctx, self.pool)
            for kind in KINDS
            if component in kind.components
        ]

    def _facts(self, ctx: Context, clients: Sequence[ClientFiles]) -> DeploymentFacts:
        record = _record(ctx.config, clients)
        host = self.api_host(ctx.config) or record.api_host
        managers = machines_of(ctx, self.pool, "ndb manager")
        return DeploymentFacts(
            endpoint_url(host, record.namespace, record.prefix) if host else "",
            record.deployments,
            self._zookeepers(ctx),
            managers[0].private_ip if managers else "",
            _login(ctx, self.pool, clients) if managers else None,
        )

    def _zookeepers(self, ctx: Context) -> tuple[str, ...]:
        if ctx.config.create_zookeeper_vms:
            machines = machines_of(ctx, self.pool, ZOOKEEPER)
            return tuple(machine.private_ip for machine in machines)
        machines = zookeeper_machines(ctx, self.pool)
        return tuple(self.pool.each(machines, lambda m: private_address(m, self.pool.survey)))

    def _changes(
        self, ctx: Context, clients: Sequence[ClientFiles], facts: DeploymentFacts
    ) -> list[FileChange]:
        scaled = [
            machine.private_ip
            for machine, kind in self._scaled_by_component(ctx)
            if kind is LAMBDA_FS
        ]
        return [
            change
            for client in clients
            for change in changes_of(client, facts, followers=sorted(scaled))
        ]


def _read_client(machine: Machine, kind: ClientKind, survey: Survey | None) -> ClientFiles:
    return ClientFiles(machine, kind, read_files(machine, files_of(kind), survey))


def _named(machine: Machine, error: Unreachable | ConnectionLost) -> SetupError:
    """Return the error of a machine with its name, not its address alone."""
    if isinstance(error, ConnectionLost):
        return error
    problem = error.problems[0]
    return Unreachable(str(machine), error.stage, problem.why, problem.hint)


def _write(change: FileChange) -> str:
    """Write a file; return what to say of the copy of the original one, '' where there is one."""
    client, before = change.client, change.client.files[change.path]
    kept = replace_file(client.machine, change.path, change.content, before=before)
    return f"{client.machine.name}: the original is kept in {kept}" if kept else ""


def _record(config: Config, clients: Sequence[ClientFiles]) -> NameNodeRecord:
    """Return which NameNodes are deployed: as recorded here, else as a client calls them."""
    stored = stored_record(config)
    if stored:
        return stored
    found = (
        configured_record(client.kind, client.files, source=client.machine.name)
        for client in clients
    )
    return next((record for record in found if record), read_record(config))


def _login(ctx: Context, pool: MachinePool, clients: Sequence[ClientFiles]) -> NdbLogin | None:
    """Return the login of all clients: that of the first one's image, the λFS client's.

    None while that client cannot be reached: the image of another one may have another login.
    """
    steps = [kind.step for kind in KINDS]
    first = next((machine.id for machine in machines_of(ctx, pool, *steps)), "")
    known = next((client for client in clients if client.machine.id == first), None)
    if known:
        return client_login(ctx.config, known.machine, known.kind, known.files)
    return None if first else choose(ctx.config, PUBLISHED)


def changes_of(
    client: ClientFiles, facts: DeploymentFacts, *, followers: Sequence[str]
) -> list[FileChange]:
    """Return the files of a client that differ from what the deployment needs.

    Raises:
        Refused: a file does not exist, or cannot be edited.
    """
    source = client.machine.name
    kind = client.kind
    site = HadoopXml.parse(_content(client, kind.site), source=f"{source}: {kind.site}")
    ndb = JavaProperties.parse(_content(client, kind.ndb), source=f"{source}: {kind.ndb}")
    found: list[FileChange] = []
    for path, file, values in (
        (kind.site, site, site_values(kind, facts)),
        (kind.ndb, ndb, ndb_values(facts)),
    ):
        names = tuple(name for name, value in values.items() if file.get(name) != value)
        if names:
            found.append(FileChange(client, path, file.with_values(values), names))
    if BENCHMARK in client.files:
        found += _benchmark_change(client, followers)
    return found


def _benchmark_change(client: ClientFiles, followers: Sequence[str]) -> list[FileChange]:
    """Return the change of the benchmark's file: it reads the hdfs-site.xml that is written."""
    source, before = f"{client.machine.name}: {BENCHMARK}", client.files[BENCHMARK]
    between = benchmark.with_followers(before, followers, source=source)
    after = benchmark.with_site(between, client.kind.site, source=source)
    names = [benchmark.FOLLOWERS] if between != before else []
    names += [benchmark.SITE] if after != between else []
    return [FileChange(client, BENCHMARK, after, tuple(names))] if names else []


def _content(client: ClientFiles, path: str) -> bytes:
    if path not in client.files:
        raise SetupError(
            f"{client.machine.name}: {path} does not exist",
            "a client's image has this file, and this one does not",
            "use an image that has it, or set configure_clients: False and configure it yourself",
        )
    return client.files[path]


def _found(clients: Sequence[ClientFiles], facts: DeploymentFacts, drift: Sequence[Drift]) -> Found:
    count = count_of(len(clients), "client")
    state = "configured" if facts.endpoint else f"configured; {WAITS}"
    shown = {ENDPOINT: facts.endpoint, "deployments": facts.deployments}
    if facts.login:
        shown |= {"database": facts.login.database, "user": facts.login.user}
    return Found(
        _ids([client.machine for client in clients]),
        f"{count} {'differ' if drift else state}",
        shown,
        tuple(drift),
    )


def _ids(machines: Sequence[Machine]) -> str:
    return ", ".join(machine.id for machine in machines)
