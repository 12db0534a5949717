"""What configure prints when something fails for which other steps wait: the cause, first.

Whole runs in virtual time, against the same chart as the demo's, as a user reads them: not the JSON
document's first problem alone, but every line.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import configure_eks_cluster
from aws_setup.infrastructure.subnet_routes import EVERYWHERE
from tests.support import scripts
from tests.support.aws import client
from tests.support.kube import tool
from tests.support.virtual_time import VirtualWorld, virtual_world

pytestmark = pytest.mark.timeout(400)

Break = Callable[[VirtualWorld, pytest.MonkeyPatch], None]


def no_route(world: VirtualWorld, patch: pytest.MonkeyPatch) -> None:
    """The nodes' subnets have no route to the internet: no node joins."""
    del world, patch
    ec2 = client("ec2")
    for table in ec2.describe_route_tables()["RouteTables"]:
        if any(route.get("NatGatewayId") for route in table["Routes"]):
            ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock=EVERYWHERE)


def fault(**rule: str) -> Break:
    """Return a fault of the cluster's API server."""

    def added(world: VirtualWorld, patch: pytest.MonkeyPatch) -> None:
        del patch
        (api,) = world.hooks.apis.values()
        api.faults.add(rule)

    return added


def no_dns(world: VirtualWorld, patch: pytest.MonkeyPatch) -> None:
    """The load balancer's name never resolves."""

    def never(host: Any, *arguments: Any, **more: Any) -> Any:
        if ".elb." in str(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return world.resolve(host, *arguments, **more)

    patch.setattr(socket, "getaddrinfo", never)


QUOTA, LIMIT = "VolumeLimitExceeded: too many volumes", "toomanyrequests: pull rate limit"
VOLUMES_TOO = (
    r"error: openwhisk ready: OpenWhisk's volume of \S+ is not bound: "
    "nor was the one of the storage probe, which failed before"
)
"""The second error where volumes never bind."""

CLUSTER, PROBE = 700.0, 600.0
"""Most seconds until the cluster has nodes, and until the storage probe fails."""

CASES: dict[str, tuple[Break, str, str, str]] = {
    "nodes never join": (
        no_route,
        "error: (core|invoker)-nodes, (core|invoker)-nodes: the node group is CREATE_FAILED: Node",
        "not started: core-nodes, invoker-nodes failed",
        "",
    ),
    "volumes never bind": (
        fault(fault="claim-unbound", claim="*", message=QUOTA),
        f"error: storage probe: a 1 GiB volume is created and bound: .*{QUOTA}",
        "not started: openwhisk ready failed",
        "read `kubectl -n kube-system logs deploy/ebs-csi-controller -c csi-provisioner`",
    ),
    "an image cannot be pulled": (
        fault(fault="image-pull", pod="owdev-couchdb*", message=LIMIT),
        f"error: openwhisk ready: .*pod owdev-couchdb.*ImagePullBackOff.*{LIMIT}",
        "not started: openwhisk ready failed",
        "find the cause in docs/configure.md",
    ),
    "the load balancer has no DNS": (
        no_dns,
        "error: openwhisk api: .*DNS does not resolve .*elb",
        "not started: openwhisk api failed",
        "check this computer's DNS server and VPN: `nslookup ",
    ),
}
"""Case -> what breaks, the first error, and what is said of the steps that wait for it, the fix."""


@pytest.mark.parametrize("case", CASES)
def test_the_first_error_is_the_cause_and_the_steps_behind_it_name_it(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks, first, behind, fix = CASES[case]
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        world.create()
        breaks(world, monkeypatch)
        began = world.time.now()
        ended = scripts.run(configure_eks_cluster.SCRIPT, world.folder, "configure", "--yes")
        seconds = world.time.now() - began
    assert ended.exit_code == 1
    lines = ended.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert re.match(first, errors[0]), errors
    assert lines[lines.index(errors[0]) + 1].startswith(f"  Fix: {fix}")
    if case == "volumes never bind":
        assert re.fullmatch(VOLUMES_TOO, "\n".join(errors[1:]))
        assert seconds < CLUSTER + 2 * PROBE, "OpenWhisk is not waited for to the end"
    waiting = [line for line in lines if "not started" in line]
    assert waiting
    assert all(line.endswith(behind) for line in waiting), waiting
