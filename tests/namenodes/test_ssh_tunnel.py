"""The λFS client VM: the jar by SFTP, and a tunnel to an OpenWhisk in its network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Refused, SetupError
from aws_setup.namenodes.connections import Connections
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.jar import JarStores, local_copy
from aws_setup.namenodes.tunnel import via_ssh
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.openwhisk.server import AUTH
from aws_setup.ssh.machine import Machine
from tests.support.aws import IMAGE, client, network
from tests.support.machines import VmEnvironment, needs_machines, vm_environment
from tests.support.openwhisk import QuickClock, client_of, jar_of, make_jar

PORT = 18093


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path_factory.mktemp("ssh")) as vms:
        vms.launch(1)
        yield vms


@pytest.fixture
def machine(one: VmEnvironment) -> Iterator[Machine]:
    found = one.machine()
    yield found
    found.close()


@needs_machines
def test_the_jar_comes_from_the_machine_s_disk(machine: Machine, tmp_path: Path) -> None:
    jar = make_jar(tmp_path / "nn.jar", size=3_000_000)
    machine.write("/tmp/nn.jar", jar.read_bytes())
    stores = JarStores(s3=lambda: None, machine=lambda _: machine)
    with local_copy("ssh:///tmp/nn.jar", stores) as copy:
        assert jar_of(copy).sha256 == jar_of(jar).sha256
    with pytest.raises(Refused, match=r"/none\.jar: No such file") as refused:
        local_copy("ssh:///none.jar", stores).__enter__()
    assert "-j ssh:///PATH" in refused.value.problems[0].hint


ANSWERS = f"""
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")
server = HTTPServer(("127.0.0.1", {PORT}), Handler)
open("/tmp/answers.ready", "w").close()
server.handle_request()
server.handle_request()
"""
"""A program for the machine: answers two listings on a port that only the machine reaches."""


@needs_machines
def test_a_tunnel_through_the_machine_reaches_what_only_the_machine_reaches(
    machine: Machine,
) -> None:
    machine.write("/tmp/answers.py", ANSWERS)
    start = "nohup python3 /tmp/answers.py >/tmp/answers.log 2>&1 &"
    machine.run(f"{start} until [ -e /tmp/answers.ready ]; do sleep 0.02; done", timeout=240)
    endpoint = Endpoint(url=f"http://127.0.0.1:{PORT}", auth=AUTH)
    with pytest.raises(SetupError, match="no success"):
        client_of(endpoint.url, clock=QuickClock()).listing()
    with via_ssh(machine, endpoint) as reached:
        retrying = client_of(reached.url, clock=SystemClock(pace=0.1))
        assert retrying.listing() == []
        assert retrying.listing() == []


def launch_client(*, deployment: str = "lambda-fs") -> str:
    """Launch a VM with the tags of the λFS client; return its id."""
    ec2 = client("ec2")
    net = network(ec2)
    tags = {"Component": "PrimaryLambdaFSClientVM", "lambda-fs:deployment": deployment}
    launched = ec2.run_instances(
        ImageId=IMAGE,
        InstanceType="r5.4xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=net.subnet,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )
    return str(launched["Instances"][0]["InstanceId"])


def connections(tmp_path: Path) -> Connections:
    config = Config(
        ssh_keypair_name="k",
        ssh_key_path=str(tmp_path / "key"),
        infrastructure_json_path=str(tmp_path),
        aws_region="us-east-1",
    )
    return Connections(config, None, None, QuickClock())


def test_the_client_vm_is_found_by_its_tags(cloud: RehearsalCloud, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="client VM is not running"):
        connections(tmp_path).machine("")
    launch_client(deployment="another")
    with pytest.raises(Refused, match="client VM is not running"):
        connections(tmp_path).machine("")
    instance = launch_client()
    found = connections(tmp_path).machine("")
    described = client("ec2").describe_instances(InstanceIds=[instance])
    address = described["Reservations"][0]["Instances"][0]["PublicIpAddress"]
    assert (found.id, found.address) == (instance, address)


def test_without_a_configuration_ssh_and_cluster_are_refused(tmp_path: Path) -> None:
    unconfigured = Connections(None, None, None, QuickClock())
    with pytest.raises(SetupError, match="needs the configuration file"):
        unconfigured.machine("")
    with pytest.raises(SetupError, match="needs the configuration file"):
        _ = unconfigured.in_cluster
