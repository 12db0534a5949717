"""What the checks inspect: the deployment's VMs, and the configuration of its λFS client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import tag_of
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.wait import SystemClock
from aws_setup.infrastructure.ingress_rules import CLIENT_TCP
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials, read_credentials
from aws_setup.software.clients import desired
from aws_setup.software.clients.benchmark import SITE, site_of
from aws_setup.software.clients.desired import (
    BENCHMARK,
    LAMBDA_FS,
    DeploymentFacts,
    NdbLogin,
    endpoint_url,
    ndb_values,
    site_values,
)
from aws_setup.software.clients.login import client_login
from aws_setup.software.clients.namenode_record import (
    NameNodeRecord,
    configured_record,
    read_record,
    stored_record,
)
from aws_setup.software.clients.remote_files import files_of, read_files
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.machines import (
    ZOOKEEPER,
    auto_scaled_machines,
    machines_of,
    zookeeper_machines,
)
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.check import Broken

MANAGER = "ndb manager"
DATA_NODES = ("ndb data nodes 1", "ndb data nodes 2")

CREATE = "run python create_aws_infrastructure.py"
CONFIGURE = "run python configure_eks_cluster.py"
WHISK = "run python whisk_helper.py --sync -n NUMBER"

MAX_PORT = 65535


@dataclass(frozen=True)
class Address:
    """A host, by name or address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class NameNodeEndpoint:
    """The parts of `serverless.endpoint`: the API host's URL, namespace, prefix of the actions."""

    url: str
    namespace: str
    prefix: str

    @property
    def address(self) -> Address:
        """The host and the port of the API."""
        parts = urlsplit(self.url)
        return Address(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


@dataclass(frozen=True)
class ClientSettings:
    """The configuration of the λFS client: both files as they were read, and what they say."""

    site: HadoopXml
    ndb: JavaProperties

    @property
    def endpoint(self) -> NameNodeEndpoint:
        """Where the client calls the NameNodes."""
        text = self._site(desired.ENDPOINT)
        parts = _url_parts(text)
        match = desired.ENDPOINT_PATH.fullmatch(parts.path) if parts else None
        if not parts or parts.scheme not in ("http", "https") or not parts.hostname or not match:
            cause = f"{desired.ENDPOINT} is {text!r}, which is no URL of web actions"
            raise Broken(cause, CONFIGURE)
        return NameNodeEndpoint(f"{parts.scheme}://{parts.netloc}", match[1], match[2])

    @property
    def deployments(self) -> int:
        """The number of NameNode deployments among which the client distributes its requests."""
        text = self._site(desired.DEPLOYMENTS_MAX)
        number = whole_number(text)
        if not number:
            raise Broken(f"{desired.DEPLOYMENTS_MAX} is {text!r}, not a number above 0", CONFIGURE)
        return number

    @property
    def zookeepers(self) -> list[Address]:
        """The ZooKeeper servers."""
        items = [item.strip() for item in self._site(desired.ZOOKEEPERS).split(",")]
        port, name = desired.ZOOKEEPER_PORT, desired.ZOOKEEPERS
        return [_address(item, port, name=name) for item in items if item]

    @property
    def manager(self) -> Address:
        """The NDB management server, the first one where there are several.

        https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-connection-strings.html
        """
        text = self._ndb(desired.CONNECT_STRING)
        first = next((item for item in text.split(",") if "=" not in item), text)
        return _address(first, desired.MANAGER_PORT, name=desired.CONNECT_STRING)

    @property
    def mysqld(self) -> Address:
        """The MySQL server."""
        port = self.ndb.get(desired.MYSQL_PORT) or str(desired.SQL_PORT)
        text = f"{self._ndb(desired.MYSQL_HOST)}:{port}"
        return _address(text, desired.SQL_PORT, name=desired.MYSQL_PORT)

    @property
    def callback_port(self) -> int | None:
        """The first TCP port at which the client accepts NameNodes; None where that is off."""
        if (self.site.get(desired.TCP_ENABLED) or "true").strip().lower() == "false":
            return None
        text = (self.site.get(desired.TCP_PORT) or str(CLIENT_TCP.first)).strip()
        number = _port(text)
        if number is None:
            fix = f"set it to {CLIENT_TCP.first} in {LAMBDA_FS.site} on the client"
            raise Broken(f"{desired.TCP_PORT} is {text!r}, which is no port", fix)
        return number

    @property
    def login(self) -> NdbLogin:
        """The database login."""
        password = self.ndb.get(desired.PASSWORD) or ""
        return NdbLogin(self._ndb(desired.USER), password, self._ndb(desired.DATABASE))

    def _site(self, name: str) -> str:
        return _required(self.site.get(name), name, LAMBDA_FS.site)

    def _ndb(self, name: str) -> str:
        return _required(self.ndb.get(name), name, LAMBDA_FS.ndb)


def _required(value: str | None, name: str, path: str) -> str:
    if not value or not value.strip():
        raise Broken(f"{path} does not set {name}", CONFIGURE)
    return value.strip()


def _address(text: str, port: int, *, name: str) -> Address:
    """Return `host:port` or `host`; `port` is the default, `name` the property.

    Raises:
        Broken: what is behind the colon is no port.
    """
    host, colon, number = text.strip().partition(":")
    found = _port(number) if colon else port
    if found is None:
        raise Broken(f"{name} is {text!r}, in which {number!r} is no port", CONFIGURE)
    return Address(host, found)


def _port(text: str) -> int | None:
    """Return a TCP port; None for any other text."""
    number = whole_number(text)
    return number if number is not None and 0 < number <= MAX_PORT else None


def _url_parts(text: str) -> SplitResult | None:
    """Return the parts of a URL; None where Python cannot split it, or its port is none."""
    try:
        parts = urlsplit(text)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


@dataclass
class Chain:
    """One deployment, from the client to the database; read when first needed.

    `pool` has the SSH connections. `clock` measures durations and is stopped at Ctrl-C.
    """

    ctx: Context
    pool: MachinePool
    clock: SystemClock
    probed: dict[Address, PortState] = field(default_factory=dict)
    """How a pod on an invoker node has reached each address."""
    actions: list[Mapping[str, Any]] = field(default_factory=list)
    """The NameNode actions as OpenWhisk lists them, in the order of their numbers."""
    said: list[str] = field(default_factory=list)
    """What the client says at each login: it may explain a failure, or name a stand-in."""

    def machines(self, *steps: str) -> list[Machine]:
        """Return the VMs of some steps; [] where they do not exist."""
        return machines_of(self._with_machines, self.pool, *steps)

    @cached_property
    def _with_machines(self) -> Context:
        found = dict(self.ctx.found)
        for group in vm_groups(self.ctx.config):
            existing = None if group.step in found else VmGroupStep(group).find(self.ctx)
            if existing:
                found[group.step] = existing
        return replace(self.ctx, found=found)

    @cached_property
    def vms(self) -> list[Machine]:
        """Every VM of the deployment, those of the auto-scaling groups last; stopped ones too."""
        steps = [group.step for group in vm_groups(self.ctx.config)]
        scaled = auto_scaled_machines(self.ctx, self.pool)
        found = [*self.machines(*steps), *sorted(scaled, key=lambda machine: machine.private_ip)]
        return list({machine.id: machine for machine in found}.values())

    @cached_property
    def zookeepers(self) -> list[Machine]:
        """The ZooKeeper VMs: of this deployment, else those that the configuration names."""
        return zookeeper_machines(self._with_machines, self.pool)

    @cached_property
    def client(self) -> Machine:
        """The λFS client VM; raises Broken where there is none."""
        for machine in self.machines(LAMBDA_FS.step):
            if machine.address:
                return machine
            raise Broken(f"{machine.name} is stopped", f"{CREATE}, which starts stopped VMs")
        raise Broken("there is no λFS client VM", f"{CREATE} with create_lambda_fs_client_vm: True")

    @cached_property
    def followers(self) -> list[Machine]:
        """The running λFS clients of the auto-scaling groups: the benchmark's followers."""
        running = {
            item["InstanceId"]
            for item in self.ctx.inventory.all("instances")
            if tag_of(item, "Component") in LAMBDA_FS.components
        }
        machines = auto_scaled_machines(self.ctx, self.pool)
        found = [machine for machine in machines if machine.id in running]
        return sorted(found, key=lambda machine: machine.private_ip)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        return dict(read_files(self.client, files_of(LAMBDA_FS)))

    @property
    def record(self) -> NameNodeRecord:
        """Which NameNodes are deployed: as recorded on this computer, else as the client calls."""
        config = self.ctx.config
        stored = stored_record(config)
        if stored:
            return stored
        configured = configured_record(LAMBDA_FS, self._files, source=self.client.name)
        return configured or read_record(config)

    @cached_property
    def settings(self) -> ClientSettings:
        """The client's configuration; raises Broken or SetupError where it cannot be read."""
        source = self.client.name
        contents = {}
        for path in (LAMBDA_FS.site, LAMBDA_FS.ndb):
            if path not in self._files:
                raise Broken(f"{path} does not exist", "use the λFS client's AMI")
            contents[path] = self._files[path]
        return ClientSettings(
            HadoopXml.parse(contents[LAMBDA_FS.site], source=f"{source}: {LAMBDA_FS.site}"),
            JavaProperties.parse(contents[LAMBDA_FS.ndb], source=f"{source}: {LAMBDA_FS.ndb}"),
        )

    @property
    def credentials(self) -> OpenWhiskCredentials | None:
        """OpenWhisk's API host and key, as configure_eks_cluster.py has stored them."""
        return read_credentials(self.ctx.config)

    def differences(self) -> list[tuple[str, str, str]]:
        """Return each property that is not this deployment's: name, value, this deployment's.

        A password is never among the values.
        """
        facts, settings = self._facts(), self.settings
        read = self.benchmark_site
        found = [(SITE, read, LAMBDA_FS.site)] if read not in (None, LAMBDA_FS.site) else []
        for file, values in (
            (settings.site, site_values(LAMBDA_FS, facts)),
            (settings.ndb, ndb_values(facts)),
        ):
            for name, value in values.items():
                has = file.get(name)
                if has != value:
                    secret = name == desired.PASSWORD
                    found.append((name, "another" if secret else has or "not set", value))
        return [
            (name, has, "not shown" if name == desired.PASSWORD else value)
            for name, has, value in found
        ]

    @property
    def benchmark_site(self) -> str | None:
        """The hdfs-site.xml that the client's benchmark reads, '' where it names none.

        None without a benchmark.
        """
        if BENCHMARK not in self._files:
            return None
        source = f"{self.client.name}: {BENCHMARK}"
        return site_of(self._files[BENCHMARK], source=source)

    def _facts(self) -> DeploymentFacts:
        config, record = self.ctx.config, self.record
        host = self.credentials.inside if self.credentials else record.api_host
        managers = self.machines(MANAGER)
        zookeepers = self.machines(ZOOKEEPER) if config.create_zookeeper_vms else []
        login = client_login(config, self.client, LAMBDA_FS, self._files)
        return DeploymentFacts(
            endpoint_url(host, record.namespace, record.prefix) if host else "",
            record.deployments,
            tuple(machine.private_ip for machine in zookeepers),
            managers[0].private_ip if managers else "",
            login if managers else None,
        )
