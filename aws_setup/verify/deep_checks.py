"""Checks that start containers or use the file system: pods, NameNodes, and λFS's own test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.ingress_rules import NDB_DATA_NODES, Source
from aws_setup.software.clients.desired import HADOOP, LAMBDA_FS, TCP_ENABLED
from aws_setup.software.hdfs_format import error_line
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.chain import DATA_NODES, Address, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.cluster_checks import require_cluster
from aws_setup.verify.firewall import unreachable
from aws_setup.verify.namenode_checks import LOGS
from aws_setup.verify.pod_probe import probe_from_pod

MOST_FOLLOWERS = 10
"""Followers to which the pod connects; the machines of a group have the same security groups."""

BASIC_TEST_SECONDS = 900.0
FILES = "10"
"""The answer to BasicTest's question: how many files it creates, and deletes again."""

BASIC_TEST = """\
cd /home/ubuntu && exec java -Dlog4j.configuration=file:resources/log4j.properties -cp "$1" \\
  com.gmail.benrcarver.distributed.BasicTest
"""
SHARE = f"{HADOOP}/{LAMBDA_FS.release}/share/hadoop"
CLASS_PATH = f".:/home/ubuntu/BasicTest.jar:{SHARE}/hdfs/lib/*:{SHARE}/common/lib/*"


def targets(chain: Chain) -> Mapping[str, Sequence[Address]]:
    """Return what NameNodes connect to: what it is -> addresses."""
    settings = chain.settings
    data_nodes = [machine.private_ip for machine in chain.machines(*DATA_NODES)]
    return {
        "NDB manager": [settings.manager],
        "NDB data nodes": [Address(host, NDB_DATA_NODES.first) for host in data_nodes],
        "mysqld": [settings.mysqld],
        "ZooKeeper": settings.zookeepers,
        "client": callbacks(chain),
    }


def callbacks(chain: Chain) -> Sequence[Address]:
    """Return where the λFS clients accept NameNodes: the client VM, and the first followers."""
    port = chain.settings.callback_port
    machines = [chain.client, *chain.followers[:MOST_FOLLOWERS]]
    return [] if port is None else [Address(machine.private_ip, port) for machine in machines]


def check_pod(chain: Chain) -> str:
    """A pod runs on an invoker node, and tries every address that NameNodes connect to."""
    require_cluster(chain)
    addresses = [address for found in targets(chain).values() for address in found]
    chain.probed.update(probe_from_pod(chain.ctx, addresses))
    return f"a pod on an invoker node has tried {count_of(len(addresses), 'address', 'addresses')}"


def check_from_node(chain: Chain, name: str) -> str:
    """The pod has reached the addresses of one kind.

    At the client's port a program listens only while λFS is used: a refused connection shows that
    packets arrive.
    """
    addresses = targets(chain)[name]
    if not addresses:
        if name == "client":
            raise NotApplicable(f"{TCP_ENABLED} is false: NameNodes answer by HTTP only")
        raise NotApplicable(f"there are no {name}")
    for address in addresses:
        state = chain.probed[address]
        if state is PortState.OPEN or (name == "client" and state is PortState.REFUSED):
            continue
        raise unreachable(chain.ctx, address, state, source=Source.NODES)
    return ", ".join(map(str, addresses))


from_node = {
    name: partial(check_from_node, name=name)
    for name in ("NDB manager", "NDB data nodes", "mysqld", "ZooKeeper", "client")
}


def check_basic_test(chain: Chain) -> str:
    """λFS's BasicTest succeeds on the client: it creates, lists, reads and deletes files."""
    result = chain.client.run(
        ["sh", "-c", BASIC_TEST, "lambda-fs", CLASS_PATH],
        stdin=f"{FILES}\n",
        timeout=BASIC_TEST_SECONDS,
        check=False,
    )
    output = result.stdout + result.stderr
    if result.code or "[SUCCESS]" not in output or "[ERROR]" in output:
        lines = [line.strip() for line in output.splitlines() if "[ERROR]" in line]
        cause = lines[0] if lines else error_line(output)
        raise Broken(cause, LOGS)
    return f"[SUCCESS], with {FILES} files"
