"""BasicTest on the emulated client: through the endpoint of its hdfs-site.xml, to NameNodes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aws_setup.rehearsal.openwhisk.activations import Invocation
from aws_setup.rehearsal.openwhisk.put_body import PutBody
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer, self_signed, serve
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.software.clients.desired import LAMBDA_FS
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.machine import Machine
from aws_setup.verify.basic_test import CLASS_PATH, COMMAND
from tests.support.machines import ADDRESSES, VmEnvironment, needs_machines, public_ip, shared_key

pytestmark = [needs_machines, pytest.mark.timeout(120)]

CLIENT = ADDRESSES[0]
SSHD = f"{CLIENT}:22"
"""A server that accepts connections, in the place of ZooKeeper."""


@dataclass
class Client:
    """A client VM whose connections to localhost lead to an OpenWhisk with three NameNodes."""

    machine: Machine
    vms: VmEnvironment
    whisk: OpenWhiskServer
    port: int
    invocations: list[Invocation] = field(default_factory=list)
    error: str = ""

    def start(self, invocation: Invocation) -> str:
        """Record an invocation of a NameNode; return the error that a test has set."""
        self.invocations.append(invocation)
        return self.error

    def configure(self, **values: str) -> None:
        """Set properties of hdfs-site.xml, by default those of this OpenWhisk."""
        endpoint = f"https://localhost:{self.port}/api/v1/web/guest/default/namenode"
        fitting = {
            "serverless.endpoint": endpoint,
            "serverless.deployments.max": "3",
            "serverless.zookeepers.hosts": f"{CLIENT}:1,{SSHD}",
        }
        named = {name.replace("_", "."): value for name, value in values.items()}
        path = self.vms.vm_pool.disk("i-0").path(LAMBDA_FS.site)
        site = HadoopXml.parse(path.read_bytes(), source="test")
        path.write_bytes(site.with_values(fitting | named))

    def test(self, answer: str = "10") -> CommandResult:
        """Run BasicTest as verify does."""
        command = ["sh", "-c", COMMAND, "lambda-fs", CLASS_PATH]
        return self.machine.run(command, stdin=f"{answer}\n", check=False, timeout=240)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    whisk = OpenWhiskServer()
    key = shared_key(tmp_path / "key")
    with serve(whisk, certificate=self_signed()) as url:
        port = int(url.rpartition(":")[2])
        gateway = Gateway(port, lambda _, __: socket.create_connection(("127.0.0.1", port)))
        public = key.with_suffix(".pub").read_text()
        with NamespaceVmPool(tmp_path / "vms", authorized_key=public, gateway=gateway) as vms:
            environment = VmEnvironment(vms, tmp_path, key)
            install = images.install_lambda_fs_client
            vms.launch("i-0", private_ip=CLIENT, public_ip=public_ip(0), installers=[install])
            while not vms.is_listening(CLIENT, 22):
                time.sleep(0.05)
            made = Client(environment.machine(), environment, whisk, port)
            whisk.namenodes = made.start
            for index in range(3):
                document = {
                    "exec": {"kind": "generic-namenode:10", "main": "A"},
                    "annotations": [{"key": "web-export", "value": True}],
                }
                whisk.store.put(f"namenode{index}", PutBody(document, 4, "0"), overwrite=False)
            yield made


def test_success_calls_every_namenode_and_names_the_client(client: Client) -> None:
    client.configure()
    result = client.test()
    assert "[SUCCESS]" in result.stdout, result.stdout + result.stderr
    assert len(client.invocations) == 3 + 10 + 12
    assert {item.action["name"] for item in client.invocations} == {
        "namenode0",
        "namenode1",
        "namenode2",
    }
    assert client.invocations[0].arguments["clientInternalIp"] == CLIENT
    assert client.invocations[0].arguments["tcpPort"] == 6000


def test_the_client_listens_while_it_runs(client: Client) -> None:
    client.configure(serverless_tcp_port="6001")
    found: list[bool] = []
    pool = client.vms.vm_pool

    def start(_: Invocation) -> str:
        found.append(pool.is_listening(CLIENT, 6001))
        return ""

    client.whisk.namenodes = start
    assert client.test("1").code == 0
    assert set(found) == {True}
    assert not pool.is_listening(CLIENT, 6001)


def test_the_images_configuration_leads_nowhere(client: Client) -> None:
    result = client.test()
    assert result.code == 1
    assert "[ERROR] org.apache.zookeeper.KeeperException$ConnectionLoss" in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("serverless_endpoint", "whisk.system", "HTTP 404"),
        ("serverless_endpoint", "https://nowhere.invalid/namenode", "nowhere.invalid/namenode"),
        ("serverless_deployments_max", "40", "HTTP 404"),
        ("serverless_zookeepers_hosts", f"{CLIENT}:1", "ConnectionLoss"),
    ],
)
def test_a_wrong_property_is_an_error(client: Client, name: str, value: str, text: str) -> None:
    client.configure()
    if value == "whisk.system":
        value = f"https://localhost:{client.port}/api/v1/web/whisk.system/default/namenode"
    client.configure(**{name: value})
    result = client.test()
    assert result.code == 1
    assert "[ERROR]" in result.stderr
    assert text in result.stderr


def test_the_error_of_a_namenode_is_shown(client: Client) -> None:
    client.configure()
    client.error = "java.net.ConnectException: Connection timed out: 10.0.9.9:6000"
    assert client.error in client.test().stderr


def test_the_question_needs_a_number(client: Client) -> None:
    client.configure()
    assert "a number from 1 to 100" in client.test("0").stderr
    assert "a number from 1 to 100" in client.test("many").stderr
