"""BasicTest on the emulated client: through the endpoint of its hdfs-site.xml, to NameNodes."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.openwhisk.invocation import (
    IdleNameNode,
    Invocation,
    NameNode,
    OperationError,
    StartError,
)
from aws_setup.rehearsal.openwhisk.namenode_files import ROOT, Files, Rows
from aws_setup.rehearsal.openwhisk.put_body import PutBody
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer, self_signed, serve
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.software.clients.desired import LAMBDA_FS
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.machine import Machine
from aws_setup.verify.basic_test import CLASS_PATH, COMMAND, Before, judge
from tests.support.machines import ADDRESSES, VmEnvironment, needs_machines, public_ip, shared_key

pytestmark = [needs_machines, pytest.mark.timeout(120)]

CLIENT = ADDRESSES[0]
SSHD = f"{CLIENT}:22"
"""A server that accepts connections, in the place of ZooKeeper."""


class Table(IdleNameNode):
    """A NameNode whose files are rows of a table in memory."""

    def __init__(self, *names: str) -> None:
        self.rows = [[str(ROOT), "0", ""]]
        for name in names:
            self.execute("create", {"src": name})

    def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        return Files(self._query).execute(operation, arguments)

    def _query(self, sql: str) -> Rows:
        if sql.startswith("INSERT"):
            parent, name = re.findall(r"SELECT MAX\(id\) \+ 1, (\d+), '(.*)' FROM", sql)[0]
            self.rows.append([str(max(int(row[0]) for row in self.rows) + 1), parent, name])
        elif sql.startswith("DELETE"):
            self.rows = [row for row in self.rows if row[0] not in re.findall(r"\d+", sql)]
        return self.rows


class Failing(IdleNameNode):
    """A NameNode that fails in every operation."""

    def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        raise OperationError("java.net.ConnectException: Connection timed out: 10.0.9.9:6000")


@dataclass
class Client:
    """A client VM whose connections to localhost lead to an OpenWhisk with three NameNodes."""

    machine: Machine
    vms: VmEnvironment
    whisk: OpenWhiskServer
    port: int
    invocations: list[Invocation] = field(default_factory=list)
    namenode: NameNode = field(default_factory=Table)

    def start(self, invocation: Invocation) -> NameNode:
        """Record an invocation of a NameNode; return the one that a test has set."""
        self.invocations.append(invocation)
        return self.namenode

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
                    "parameters": [{"key": "actionMemory", "value": 20000}],
                }
                whisk.store.put(f"namenode{index}", PutBody(document, 4, "0"), overwrite=False)
            yield made


def test_success_calls_every_namenode_and_names_the_client(client: Client) -> None:
    client.configure()
    result = client.test()
    assert result.stdout.count("[SUCCESS]") == 4, result.stdout + result.stderr
    assert "[ERROR]" not in result.stdout
    assert len(client.invocations) == 4 + 10 + 4
    assert {item.action["name"] for item in client.invocations} == {
        "namenode0",
        "namenode1",
        "namenode2",
    }
    value = client.invocations[0].arguments["value"]
    assert (value["clientInternalIp"], value["TCP_PORT"]) == (CLIENT, [6000])


@pytest.mark.parametrize(
    ("held", "before", "shown"),
    [
        (("/data/a.txt", "/b.txt"), Before(2), "2 entries that / held before"),
        (("/test.txt",), Before(0), "[SUCCESS]"),
        (("/test.txt", "/my_directory/my_file7.txt"), Before(0, 1, 1), "1 entry that / held"),
        (("/my_directory/old.txt", "/b.txt"), Before(1, 1, 1), "2 entries that / held before"),
    ],
)
def test_what_a_file_system_held_before_is_no_failure(
    client: Client, held: tuple[str, ...], before: Before, shown: str
) -> None:
    """As after the experiments, after a pause, and after a BasicTest that was interrupted."""
    client.configure()
    client.namenode = Table(*held)
    result = client.test()
    assert result.code == 0
    assert shown in judge(result.stdout, code=0, before=before)


def test_the_client_listens_while_it_runs(client: Client) -> None:
    client.configure(serverless_tcp_port="6001")
    found: list[bool] = []
    pool = client.vms.vm_pool

    def start(_: Invocation) -> NameNode:
        found.append(pool.is_listening(CLIENT, 6001))
        return client.namenode

    client.whisk.namenodes = start
    assert client.test("1").code == 0
    assert set(found) == {True}
    assert not pool.is_listening(CLIENT, 6001)


def test_the_images_configuration_leads_nowhere(client: Client) -> None:
    result = client.test()
    assert result.code == 1
    assert "IOException: org.apache.zookeeper.KeeperException$ConnectionLoss" in result.stderr


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
    assert "Exception in thread" in result.stderr
    assert text in result.stderr


def test_the_error_of_a_namenode_is_shown(client: Client) -> None:
    client.configure()
    client.namenode = Failing()
    assert "Connection timed out: 10.0.9.9:6000" in client.test().stderr

    def start(_: Invocation) -> NameNode:
        raise StartError("java.sql.SQLException: Access denied")

    client.whisk.namenodes = start
    assert "HTTP 400" in client.test().stderr, "the cause is in the log of the activation"


def test_the_question_needs_a_number(client: Client) -> None:
    client.configure()
    assert "a value between 1 and 100" in client.test("0").stderr
    assert "a value between 1 and 100" in client.test("many").stderr
