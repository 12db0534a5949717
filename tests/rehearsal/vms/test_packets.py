"""Connections to VMs obey the emulated cloud: SSH from outside, and from VM to VM."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.vms.ec2_sync import Ec2Sync
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool, missing_requirement
from aws_setup.ssh.errors import Unreachable
from aws_setup.ssh.machine import Machine
from aws_setup.ssh.pool import MachinePool
from tests.support.aws import IMAGE, Network, client, network, run, where
from tests.support.machines import shared_key

SELF = "self"
OPERATOR = "52.94.76.7/32"


@dataclass
class Setup:
    """Two VMs in a public subnet, and the operator's connections to them."""

    net: Network
    sync: Ec2Sync
    machines: list[Machine]
    addresses: list[str]

    def authorize(self, *, protocol: str = "tcp", ports: tuple[int, int], source: str) -> None:
        """Add an inbound rule to the group of the VMs."""
        client("ec2").authorize_security_group_ingress(
            GroupId=self.net.group, IpPermissions=[self._rule(protocol, ports, source)]
        )
        self.sync.sync()

    def revoke(self, *, protocol: str = "tcp", ports: tuple[int, int], source: str) -> None:
        """Remove an inbound rule."""
        client("ec2").revoke_security_group_ingress(
            GroupId=self.net.group, IpPermissions=[self._rule(protocol, ports, source)]
        )
        self.sync.sync()

    def _rule(self, protocol: str, ports: tuple[int, int], source: str) -> dict[str, object]:
        rule: dict[str, object] = {"IpProtocol": protocol}
        if protocol != "-1":
            rule |= {"FromPort": ports[0], "ToPort": ports[1]}
        if source == SELF:
            return rule | {"UserIdGroupPairs": [{"GroupId": self.net.group}]}
        return rule | {"IpRanges": [{"CidrIp": source}]}

    def connects(self, port: int) -> str:
        """Connect from the first VM to the second: 'yes', 'no' at once, or 'timeout'."""
        probe = f"exec 3<>/dev/tcp/{self.addresses[1]}/{port}"
        result = self.machines[0].run(["timeout", "1", "bash", "-c", probe], check=False)
        return {0: "yes", 124: "timeout"}.get(result.code, "no")


@pytest.fixture(params=["imitated", "namespaces"])
def vms(request: pytest.FixtureRequest, cloud: RehearsalCloud, tmp_path: Path) -> Iterator[Setup]:
    if request.param == "namespaces" and missing_requirement():
        pytest.skip(missing_requirement())
    key = shared_key(tmp_path / "key")
    ec2 = client("ec2")
    ec2.import_key_pair(
        KeyName="key", PublicKeyMaterial=key.with_suffix(".pub").read_text().encode()
    )
    net = network(ec2)
    table = ec2.describe_route_tables(Filters=where(vpc_id=net.vpc))["RouteTables"][0]
    ec2.create_route(
        RouteTableId=table["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=net.gateway,
    )
    started = [run(ec2, net, KeyName="key") for _ in range(2)]
    kind = NamespaceVmPool if request.param == "namespaces" else InProcessVmPool
    found = ec2.describe_instances(InstanceIds=[item["InstanceId"] for item in started])
    instances = [item for group in found["Reservations"] for item in group["Instances"]]
    with kind(tmp_path / "vms") as vm_pool:
        sync = Ec2Sync(cloud, vm_pool, amis={IMAGE: ()})
        sync.sync()
        config = Config(
            ssh_keypair_name="key",
            ssh_key_path=str(key),
            ssh_config_path=str(vm_pool.ssh_config),
            infrastructure_json_path=str(tmp_path / "receipts"),
        )
        pool = MachinePool(config, SystemClock(pace=0.05))
        machines = [pool.machine(item["InstanceId"], item["PublicIpAddress"]) for item in instances]
        yield Setup(net, sync, machines, [item["PrivateIpAddress"] for item in instances])
        pool.close()


def test_ssh_times_out_until_the_group_allows_the_operator(
    vms: Setup, cloud: RehearsalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.ssh.pool.STAGE_TIMEOUT", 0.5)
    machine = vms.machines[0]
    started = time.monotonic()
    with pytest.raises(Unreachable, match="does not answer") as caught:
        machine.connect()
    assert time.monotonic() - started >= 0.5, "nothing answers, not even a refusal"
    assert "the security group does not allow your address" in caught.value.problems[0].why
    monkeypatch.setattr("aws_setup.ssh.pool.STAGE_TIMEOUT", 10)
    vms.authorize(ports=(22, 22), source=OPERATOR)
    machine.connect()
    vms.revoke(ports=(22, 22), source=OPERATOR)
    assert machine.connect().is_active(), "an established connection continues"
    monkeypatch.setattr("aws_setup.ssh.pool.STAGE_TIMEOUT", 0.5)
    machine.close()
    with pytest.raises(Unreachable, match="does not answer"):
        machine.connect()
    vms.authorize(ports=(0, 1024), source="52.94.0.0/16")
    monkeypatch.setattr("aws_setup.ssh.pool.STAGE_TIMEOUT", 10)
    machine.connect()
    machine.close()
    cloud.settings.operator_address = "8.8.8.8"
    vms.sync.sync()
    monkeypatch.setattr("aws_setup.ssh.pool.STAGE_TIMEOUT", 0.5)
    with pytest.raises(Unreachable, match="does not answer"):
        machine.connect()


@pytest.mark.parametrize("vms", ["namespaces"], indirect=True)
def test_vms_reach_each_other_as_far_as_their_group_allows(vms: Setup) -> None:
    vms.authorize(ports=(22, 22), source=OPERATOR)
    assert vms.connects(22) == "timeout"
    vms.authorize(protocol="-1", ports=(0, 0), source=SELF)
    assert (vms.connects(22), vms.connects(2181)) == ("yes", "no")
    vms.revoke(protocol="-1", ports=(0, 0), source=SELF)
    assert (vms.connects(22), vms.connects(2181)) == ("timeout", "timeout")
    vms.authorize(ports=(2000, 3000), source=f"{vms.addresses[0]}/32")
    assert (vms.connects(22), vms.connects(2181)) == ("timeout", "no")
    vms.revoke(ports=(2000, 3000), source=f"{vms.addresses[0]}/32")
    vms.authorize(ports=(22, 22), source=SELF)
    assert (vms.connects(22), vms.connects(2181)) == ("yes", "timeout")
    assert isinstance(vms.sync.pool, NamespaceVmPool)
    vms.sync.pool.reboot(vms.machines[1].id)
    vms.sync.sync()
    assert vms.connects(2181) == "timeout", "also after a reboot"
