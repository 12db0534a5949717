"""Checks that start containers or use the file system: pods, NameNodes, and λFS's own test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aws_setup.infrastructure.ingress_rules import NDB_DATA_NODES, Source
from aws_setup.kube.connect import active_cluster
from aws_setup.namenodes.action import Body
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import HttpConnection, HttpResponse, TransientError
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.verify import for_each
from aws_setup.software.clients.desired import HADOOP, LAMBDA_FS, TCP_ENABLED
from aws_setup.software.hdfs_format import error_line
from aws_setup.ssh import PortState
from aws_setup.verify.chain import CREATE, DATA_NODES, WHISK, Address, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.client_checks import connection
from aws_setup.verify.firewall import unreachable
from aws_setup.verify.pod_probe import probe_from_pod

INVOCATIONS = 8
"""NameNodes that are invoked at the same time."""

TRIES = 3
"""Requests to one NameNode: while its container starts, OpenWhisk answers after 60 seconds."""

INVOKE_SECONDS = 90.0
"""Seconds for one answer; OpenWhisk answers after 60 at the latest."""

MOST_FOLLOWERS = 10
"""Followers to which the pod connects; the machines of a group have the same security groups."""

LOGS = "read the NameNode's log: `wsk activation list`, then `wsk activation logs ID`"

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
    if active_cluster(chain.ctx) is None:
        raise Broken("the EKS cluster does not exist, or is not active", CREATE)
    addresses = [address for found in targets(chain).values() for address in found]
    chain.probed.update(probe_from_pod(chain.ctx, addresses))
    return f"a pod on an invoker node has tried {len(addresses)} addresses"


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


def check_invocations(chain: Chain) -> str:
    """Each NameNode answers when it is invoked as the client does, by its web action."""
    endpoint, number = chain.settings.endpoint, chain.settings.deployments
    names = Selection(endpoint.prefix, 0, number).names
    path = f"/api/v1/web/{endpoint.namespace}/default"
    access = Endpoint(endpoint.url, ":", insecure=True)
    with connection(chain, access, width=INVOCATIONS, read_seconds=INVOKE_SECONDS) as http:
        failures = for_each(
            names, lambda name: _invoke(http, f"{path}/{name}"), clock=chain.clock, jobs=INVOCATIONS
        )
    failed = {name: failure for name, failure in failures.items() if failure}
    if failed:
        first = min(failed, key=names.index)
        others = f" ({len(failed)} of {number} fail)" if len(failed) > 1 else ""
        is_missing = failed[first].endswith("(HTTP 404)")
        fix = WHISK.replace("NUMBER", str(number)) if is_missing else LOGS
        raise Broken(f"{first}: {failed[first]}{others}", fix)
    return f"{number} of {number} answer"


def _invoke(http: HttpConnection, path: str) -> str:
    """Return why an invocation failed, '' if it did not."""
    failure = ""
    for _ in range(TRIES):
        try:
            body = Body(b"{}", memoryview(b""), b"")
            response = http.send("POST", path, body=body, signed=False)
        except TransientError as error:
            failure = str(error)
            continue
        failure = _failure(response)
        if response.status not in (202, 429, 502, 503, 504):
            return failure
    return failure


def _failure(response: HttpResponse) -> str:
    if response.status == 202:
        return "no answer within 60 seconds"
    reported = isinstance(response.document, dict) and response.document.get("error")
    return response.reason if response.status >= 300 or reported else ""


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
