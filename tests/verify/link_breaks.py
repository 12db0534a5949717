"""A complete deployment in a rehearsal, and what breaks one of its links."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_setup.config import load_config
from aws_setup.engine.wait import Pending, SystemClock, wait_until
from aws_setup.infrastructure.ingress_rules import (
    Ports,
)
from aws_setup.rehearsal.demo.workspace import Workspace
from aws_setup.rehearsal.environment import Environment
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.software.clients import desired
from aws_setup.software.clients.desired import LAMBDA_FS
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.sql.client import MYSQL
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import is_complete, role_texts, server_role
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.pool import MachinePool
from tests.support.script_runs import run_script


@dataclass
class Story:
    """A complete deployment in a rehearsal."""

    environment: Environment
    workspace: Workspace

    def run(self, *words: str, code: int = 0, first: str = "", pace: float | None = None) -> str:
        """Run a script and return its stdout."""
        variables = self.workspace.environment(self.environment, os.environ)
        if pace is not None:
            variables["AWS_SETUP_PACE"] = str(pace)
        done = run_script(*words, folder=self.workspace.folder, environment=variables, first=first)
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def verify(self, *words: str, code: int = 1, first: str = "") -> dict[str, Any]:
        """Run verify and return its JSON document.

        It waits for pods and records: each poll costs more than the time that it wins.
        """
        command = ("create_aws_infrastructure.py", "verify", "--json", *words)
        printed = self.run(*command, code=code, first=first, pace=0.05)
        document: dict[str, Any] = json.loads(printed)
        return document

    def ec2(self, operation: str, **parameters: Any) -> Any:
        return self.environment.cloud.call("ec2", operation, **parameters)

    def instances(self, step: str) -> list[Any]:
        filters = [{"Name": "tag:lambda-fs:step", "Values": [step]}]
        found = self.ec2("DescribeInstances", Filters=filters)["Reservations"]
        return [instance for item in found for instance in item["Instances"]]

    def on(
        self, step: str, *command: str, stdin: str = "", most: int | None = None
    ) -> list[CommandResult]:
        """Run a command as root on the VMs of a step, on the first `most` of them."""
        pool = MachinePool(
            load_config(self.workspace.config, overrides={}, environ={}), SystemClock(pace=0.1)
        )
        try:
            return [
                pool.machine(item["InstanceId"], item["PublicIpAddress"]).run(
                    list(command), sudo=True, stdin=stdin
                )
                for item in self.instances(step)[:most]
            ]
        finally:
            pool.close()

    def start_zookeeper(self) -> None:
        """Start the servers that were stopped, and return when all are in the ensemble again."""
        clock = SystemClock(pace=0.1)
        pool = MachinePool(load_config(self.workspace.config, overrides={}, environ={}), clock)
        try:
            machines = [
                pool.machine(item["InstanceId"], item["PublicIpAddress"])
                for item in self.instances("zookeeper")
            ]
            for machine in machines:
                # The exit code is 1 where the server runs; below, all have to run.
                machine.run([zk.SERVER, "start"], sudo=True, check=False)

            def poll() -> bool | Pending:
                found = {machine.id: server_role(machine) for machine in machines}
                return is_complete(found) or Pending(str(role_texts(found)))

            wait_until("ZooKeeper is complete", poll, clock=clock, deadline=90, pause=1)
        finally:
            pool.close()

    def on_first(self, step: str, *command: str, stdin: str = "") -> CommandResult:
        """Run a command as root on the first VM of a step."""
        return self.on(step, *command, stdin=stdin, most=1)[0]

    def client_file(self, path: str) -> Path:
        pool = self.environment.machines
        assert isinstance(pool, NamespaceVmPool)
        [client] = self.instances(LAMBDA_FS.step)
        return pool.disk(client["InstanceId"]).path(path)

    def group(self) -> Any:
        names = [{"Name": "group-name", "Values": ["lambda-fs-security-group"]}]
        return self.ec2("DescribeSecurityGroups", Filters=names)["SecurityGroups"][0]


Break = Callable[[Story], Any]
"""A context manager in which a link is broken."""


def permissions(story: Story, ports: Ports) -> list[Any]:
    """Return the permissions of the VMs' group for exactly these ports."""
    return [
        {key: value for key, value in item.items() if value}
        for item in story.group()["IpPermissions"]
        if item["IpProtocol"] == ports.protocol
        and (ports.protocol == "-1" or item["FromPort"] == ports.first)
    ]


def without_rule(ports: Ports) -> Break:
    @contextmanager
    def broken(story: Story) -> Iterator[None]:
        group, taken = story.group()["GroupId"], permissions(story, ports)
        story.ec2("RevokeSecurityGroupIngress", GroupId=group, IpPermissions=taken)
        try:
            yield
        finally:
            story.ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=taken)

    return broken


def edited(path: str, name: str, value: str) -> Break:
    """Return a break that sets a property in a file of the client."""

    @contextmanager
    def broken(story: Story) -> Iterator[None]:
        file = story.client_file(path)
        before = file.read_bytes()
        parse = HadoopXml.parse if path.endswith(".xml") else JavaProperties.parse
        file.write_bytes(parse(before, source=path).with_values({name: value}))
        try:
            yield
        finally:
            file.write_bytes(before)

    return broken


def endpoint(old: str, new: str) -> Break:
    @contextmanager
    def broken(story: Story) -> Iterator[None]:
        site = HadoopXml.parse(story.client_file(LAMBDA_FS.site).read_bytes(), source="site")
        value = (site.get(desired.ENDPOINT) or "").replace(old, new)
        with edited(LAMBDA_FS.site, desired.ENDPOINT, value)(story):
            yield

    return broken


@contextmanager
def network_acl(story: Story) -> Iterator[None]:
    """Deny the nodes' traffic to mysqld where it leaves their subnets.

    It is not the operator who does: the published policy does not allow it.
    """
    [manager] = story.instances("ndb manager")
    filters = [{"Name": "association.subnet-id", "Values": [manager["SubnetId"]]}]
    acl = story.ec2("DescribeNetworkAcls", Filters=filters)["NetworkAcls"][0]["NetworkAclId"]
    entry: Any = {"NetworkAclId": acl, "RuleNumber": 50, "Egress": True}
    story.ec2(
        "CreateNetworkAclEntry",
        **entry,
        Protocol="6",
        RuleAction="deny",
        CidrBlock=f"{manager['PrivateIpAddress']}/32",
        PortRange={"From": 3306, "To": 3306},
    )
    try:
        yield
    finally:
        story.ec2("DeleteNetworkAclEntry", **entry)


@contextmanager
def zookeeper_stopped(story: Story) -> Iterator[None]:
    story.on("zookeeper", zk.SERVER, "stop")
    try:
        yield
    finally:
        story.start_zookeeper()


@contextmanager
def user_locked_out(story: Story) -> Iterator[None]:
    def set_password(password: str) -> None:
        sql = f"ALTER USER 'user'@'%' IDENTIFIED BY '{password}', "
        sql += f"'user'@'localhost' IDENTIFIED BY '{password}';"
        story.on("ndb manager", MYSQL, stdin=sql)

    set_password("another")
    try:
        yield
    finally:
        set_password("123password123")


@contextmanager
def balancer_closed(story: Story) -> Iterator[None]:
    """Let the internal load balancer accept nothing, as after an edit of its security group."""
    balancers = story.environment.cloud.call("elb", "DescribeLoadBalancers")
    listed = balancers["LoadBalancerDescriptions"]
    [[group]] = [item["SecurityGroups"] for item in listed if item["Scheme"] == "internal"]
    found = story.ec2("DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"][0]
    rules = [
        {key: value for key, value in item.items() if value}
        for item in found["IpPermissions"]
        if item["IpProtocol"] == "tcp"
    ]
    story.ec2("RevokeSecurityGroupIngress", GroupId=group, IpPermissions=rules)
    try:
        yield
    finally:
        story.ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=rules)
