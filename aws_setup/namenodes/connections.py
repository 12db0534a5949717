"""Connections of whisk_helper.py, opened when first used: OpenWhisk, S3, machines, the cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.config.paths import credentials_path
from aws_setup.engine.wait import Clock
from aws_setup.errors import Refused
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint, EndpointSource, EndpointSources, find_endpoint
from aws_setup.namenodes.http import HttpConnection
from aws_setup.namenodes.jar import JarStores, local_copy
from aws_setup.namenodes.prepared_jar import Facts, PreparedJar, prepare_jar
from aws_setup.namenodes.request import Request
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials, read_credentials
from aws_setup.ssh.keys import KeyRing

if TYPE_CHECKING:
    from aws_setup.namenodes.tunnel import InCluster
    from aws_setup.ssh.machine import Machine
    from aws_setup.ssh.pool import MachinePool

CLIENT = "PrimaryLambdaFSClientVM"
"""`Component` tag of the λFS client VM."""


@dataclass
class Connections:
    """Each is opened when first used; `config` is None without a configuration file."""

    config: Config | None
    profile: str | None
    region: str | None
    clock: Clock
    ask: Callable[[str], str] | None = None

    @cached_property
    def aws(self) -> Aws:
        """The AWS session; a profile's MFA code is asked for when it is first used."""
        if self.config is None:
            aws = Aws(profile=self.profile, region=self.region)
        else:
            aws = Aws(profile=self.config.aws_profile, region=self.config.aws_region)
            aws.shared[KeyRing] = self.keys
        aws.load_credentials()
        return aws

    @cached_property
    def keys(self) -> KeyRing:
        """The SSH keys; raises Refused without a configuration, which names the key."""
        if self.config is None:
            raise _no_configuration("SSH", "ssh_key_path")
        return KeyRing(Path(self.config.ssh_key_path), ask=self.ask)

    @cached_property
    def pool(self) -> MachinePool:
        """The machines; raises Refused without a configuration, which names the SSH key."""
        if self.config is None:
            raise _no_configuration("SSH", "ssh_key_path")
        from aws_setup.ssh.pool import MachinePool  # paramiko costs 16 MiB and a fifth of a second

        return MachinePool(self.config, self.clock, keys=self.keys, console=self._console)

    @cached_property
    def in_cluster(self) -> InCluster:
        """OpenWhisk through the API server of the deployment's EKS cluster.

        Raises:
            SetupError: there is no cluster, or no configuration that names it.
        """
        from aws_setup.kube.connect import kube_client  # kubernetes takes a second to import
        from aws_setup.namenodes.tunnel import InCluster

        if self.config is None:
            raise _no_configuration("the cluster", "eks_cluster_name")
        return InCluster(kube_client(self.context), self.config)

    @cached_property
    def context(self) -> Context:
        """The deployment in AWS; raises Refused without a configuration, which names it."""
        if self.config is None:
            raise _no_configuration("the deployment", "deployment_name")
        inventory = Inventory(self.aws, self.config)
        return Context(config=self.config, aws=self.aws, clock=self.clock, inventory=inventory)

    def machine(self, address: str) -> Machine:
        """Return the machine with an address; for '' the λFS client VM of the deployment.

        The passphrase of the SSH key is asked for, if it has one.
        """
        if self.keys.locked:
            self.keys.unlock()
        if address:
            return self.pool.machine(address, address)
        instance = self._client_vm()
        return self.pool.machine(
            instance["InstanceId"], instance.get("PublicIpAddress", ""), name="λFS client"
        )

    def jar_stores(self) -> JarStores:
        """Return the access to S3 and to machines for fetching the jar."""
        return JarStores(s3=lambda: self.aws.client("s3"), machine=self.machine)

    def close(self) -> None:
        """Close the connections to machines and to AWS."""
        if "pool" in self.__dict__:
            self.pool.close()
        if "context" in self.__dict__:
            self.context.inventory.close()
        if "aws" in self.__dict__:
            self.aws.close()

    def _console(self, instance_id: str) -> str:
        if not instance_id.startswith("i-"):
            return ""
        answer = self.aws.ec2.get_console_output(InstanceId=instance_id)
        return str(answer.get("Output", ""))

    def _client_vm(self) -> Mapping[str, Any]:
        if self.config is None:
            return {}
        for instance in self.context.inventory.all("instances"):
            tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
            if tags.get("Component") == CLIENT and instance["State"]["Name"] == "running":
                return instance
        raise Refused(
            "the λFS client VM is not running",
            f"no running instance of {self.config.deployment_name} has the tag Component={CLIENT}",
            "create or start it with create_aws_infrastructure.py, or use ssh://address/path",
        )


def _no_configuration(what: str, key: str) -> Refused:
    return Refused(
        f"{what} needs the configuration file",
        f"{key} is read from the configuration file, and none was found",
        "set the file with -y, or run the script in the folder of config_aws.yaml",
    )


READ_SECONDS = 120.0
"""Seconds for OpenWhisk's response once a request is sent; it stores the jar in this time."""


@dataclass(frozen=True)
class Session:
    """The client of one run, the API host by its own name, and the connections behind it."""

    client: Client
    endpoint: Endpoint
    connections: Connections

    def read_jar(self, request: Request, facts: Facts) -> PreparedJar:
        """Fetch, check and read the jar of the request, configured with --configure-jar.

        Args:
            request: the command line.
            facts: looks up what the jar's configuration should say.

        Raises:
            Refused: it is missing, too large, lacks the main class, or cannot be configured.
        """
        if not request.jar_is_available:
            raise Refused(
                f"the jar {request.jar} is not on this computer",
                "this default is its path on the λFS client VM, and -j is not set",
                "use -j ssh:// to fetch it from there, a local path, or -j s3://bucket/key",
            )
        with local_copy(request.jar, self.connections.jar_stores()) as path:
            return prepare_jar(
                path,
                source=request.jar,
                main_class=request.main,
                facts=facts,
                configure=request.configure_jar,
            )


@contextmanager
def open_session(
    request: Request,
    config: Config | None,
    *,
    profile: str | None,
    region: str | None,
    clock: Clock,
    ask: Callable[[str], str] | None,
    note: Callable[[str], None],
) -> Iterator[Session]:
    """Yield the session of a request; find OpenWhisk, and open the tunnel if there is one.

    Raises:
        Refused: the API host or its key is unknown.
        SetupError: the tunnel cannot be opened.
    """
    with ExitStack() as stack:
        connections = Connections(config, profile, region, clock, ask)
        stack.callback(connections.close)
        endpoint, reached = _endpoint(request, connections, stack)
        http = HttpConnection(reached, width=request.jobs, read_seconds=READ_SECONDS)
        stack.callback(http.close)
        client = Client(http, clock, request.timeout, note=note)
        yield Session(client, endpoint, connections)


def _endpoint(
    request: Request, connections: Connections, stack: ExitStack
) -> tuple[Endpoint, Endpoint]:
    """Return the API host by its own name, and as it is reached: directly or by a tunnel."""
    if request.tunnel == "cluster":
        from aws_setup.namenodes.tunnel import via_cluster

        cluster = via_cluster(connections.in_cluster, request.endpoint.auth)
        endpoint = stack.enter_context(cluster)
        return endpoint, endpoint
    endpoint = find_endpoint(request.endpoint, _sources(connections))
    if request.tunnel == "vm":
        from aws_setup.namenodes.tunnel import via_ssh

        inside = replace(endpoint, url=endpoint.inside)
        return endpoint, stack.enter_context(via_ssh(connections.machine(""), inside))
    return endpoint, endpoint


def _sources(connections: Connections) -> EndpointSources:
    config = connections.config
    if config is None:
        return EndpointSources(os.environ, Path.home())
    file = EndpointSource(str(credentials_path(config)), lambda: read_credentials(config))

    def ask_cluster() -> OpenWhiskCredentials | None:
        return connections.in_cluster.access()

    cluster = EndpointSource(f"the EKS cluster {config.eks_cluster_name}", ask_cluster, remote=True)
    return EndpointSources(os.environ, Path.home(), (file, cluster))
