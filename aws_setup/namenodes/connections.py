"""The ways out of this computer that the third script may need: S3, machines, the client VM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.config import Config
from aws_setup.engine.wait import Clock
from aws_setup.errors import Refused
from aws_setup.namenodes.jar import JarStores

if TYPE_CHECKING:
    from aws_setup.namenodes.tunnel import InCluster
    from aws_setup.ssh import Machine, MachinePool

CLIENT = "PrimaryLambdaFSClientVM"
"""`Component` tag of the λFS client VM."""


@dataclass
class Connections:
    """Opened at the first use; `config` is None when there is no configuration file."""

    config: Config | None
    profile: str | None
    region: str | None
    clock: Clock
    ask: Callable[[str], str] | None = None

    @cached_property
    def aws(self) -> Aws:
        """The AWS session."""
        if self.config is None:
            return Aws(profile=self.profile, region=self.region)
        return Aws(profile=self.config.aws_profile, region=self.config.aws_region)

    @cached_property
    def hosts(self) -> MachinePool:
        """The machines; raises Refused without a configuration, which names the SSH key."""
        if self.config is None:
            raise _no_configuration("SSH", "ssh_key_path")
        from aws_setup.ssh import MachinePool  # paramiko costs 16 MiB and a fifth of a second

        return MachinePool(self.config, self.clock, ask=self.ask, console=self._console)

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
        inventory = Inventory(self.aws, self.config)
        try:
            context = Context(
                config=self.config, aws=self.aws, clock=self.clock, inventory=inventory
            )
            return InCluster(kube_client(context), self.config)
        finally:
            inventory.close()

    def machine(self, address: str) -> Machine:
        """Return the machine of an address; the λFS client VM of the deployment for ''."""
        hosts = self.hosts
        if address:
            return hosts.machine(address, address)
        instance = self._client_vm()
        return hosts.machine(
            instance["InstanceId"], instance.get("PublicIpAddress", ""), name="λFS client"
        )

    def doors(self) -> JarStores:
        """Return the ways to jars."""
        return JarStores(s3=lambda: self.aws.client("s3"), machine=self.machine)

    def close(self) -> None:
        """Close the connections to machines and to AWS."""
        if "hosts" in self.__dict__:
            self.hosts.close()
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
        inventory = Inventory(self.aws, self.config)
        try:
            instances = inventory.all("instances")
        finally:
            inventory.close()
        for instance in instances:
            tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
            if tags.get("Component") == CLIENT and instance["State"]["Name"] == "running":
                return instance
        raise Refused(
            "the λFS client VM does not run",
            f"no running machine of {self.config.deployment_name} has Component={CLIENT}",
            "make or start it with create_aws_infrastructure.py, or give ssh://address/path",
        )


def _no_configuration(what: str, key: str) -> Refused:
    return Refused(
        f"{what} needs the configuration file",
        f"{key} stands in it, and there is none",
        "give it by -y, or run the script beside config_aws.yaml",
    )


@contextmanager
def open_connections(
    config: Config | None,
    *,
    profile: str | None,
    region: str | None,
    clock: Clock,
    ask: Callable[[str], str] | None,
) -> Iterator[Connections]:
    """Yield the ways and close what was opened."""
    ways = Connections(config, profile, region, clock, ask)
    try:
        yield ways
    finally:
        ways.close()
