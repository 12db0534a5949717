"""A world that is closed is freed, with its threads and ports: a process may open many."""

from __future__ import annotations

import gc
import time
import urllib.request
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws_setup.config import Config
from aws_setup.engine.wait import SystemClock
from aws_setup.rehearsal.core.server import serve
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.environment import run_environment
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from aws_setup.rehearsal.openwhisk import server as openwhisk
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.ssh.pool import MachinePool
from tests.support import eks, leftovers
from tests.support.aws import client, network, run
from tests.support.eks_tokens import connect, sign
from tests.support.kube import core, furnish
from tests.support.machines import ADDRESSES, needs_machines, public_ip, shared_key

CLOUDS = 6
USED = ("ec2", "iam", "eks", "autoscaling", "elb", "ssm")
"""Services of moto that keep state per region or per account."""

Refs = Sequence[weakref.ref[Any]]


def names_after_collection(refs: Refs, *, patience: float = 60) -> list[str]:
    """Return the types of what is not freed; the thread of a last request may end late."""
    deadline = time.monotonic() + patience
    while True:
        gc.collect()
        # A name bound by := would be this function's, and hold the last one.
        kept = [type(item).__name__ for item in (ref() for ref in refs) if item is not None]
        if not kept or time.monotonic() > deadline:
            return kept
        time.sleep(0.05)


def use_a_cloud(patch: pytest.MonkeyPatch) -> list[object]:
    """Open a cloud, create resources in it, close it; return what must be freed."""
    with serve(Settings(speed=0)) as cloud:
        patch.setenv("AWS_ENDPOINT_URL", cloud.url)
        ec2 = client("ec2")
        run(ec2, network(ec2))
        client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        session = boto3.Session(region_name="us-east-1")
        session.client("eks").list_clusters()
        return [cloud, session, *(cloud.backend(service) for service in USED)]


def test_closed_clouds_sessions_and_backends_of_moto_are_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [[weakref.ref(item) for item in use_a_cloud(monkeypatch)] for _ in range(CLOUDS)]
    # moto empties its backends when the next cloud opens, so the last cloud's are still there.
    expected = [ref for cloud in made[:-1] for ref in cloud] + made[-1][:2]
    assert names_after_collection(expected) == []


def use_an_api_server(_: pytest.MonkeyPatch, __: Path) -> list[object]:
    with KubeApiServer() as api:
        furnish(api)
        assert core(api).list_node().items
        return [api, api.state, api.controllers]


def use_eks(patch: pytest.MonkeyPatch, _: Path) -> list[object]:
    with serve(Settings(speed=0)) as cloud, EksApiServers(cloud) as hooks:
        patch.setenv("AWS_ENDPOINT_URL", cloud.url)
        eks.make().cluster("zoo")
        assert connect("zoo", sign("zoo")).list_namespace().items
        return [hooks, cloud, *hooks.apis.values()]


def use_openwhisk(_: pytest.MonkeyPatch, __: Path) -> list[object]:
    whisk = openwhisk.OpenWhiskServer()
    with (
        openwhisk.serve(whisk) as url,
        urllib.request.urlopen(f"{url}/ping") as answer,  # nosec B310
    ):
        assert answer.status == 200
    return [whisk, whisk.store]


def use_imitated_machines(_: pytest.MonkeyPatch, folder: Path) -> list[object]:
    public = shared_key(folder / "key").with_suffix(".pub").read_text()
    with InProcessVmPool(folder / "vms", authorized_key=public) as vms:
        vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
        pool = log_in(vms, folder)
        return [vms, vms.ensemble, pool]


def use_machines(_: pytest.MonkeyPatch, folder: Path) -> list[object]:
    public = shared_key(folder / "key").with_suffix(".pub").read_text()
    gateway = Gateway(1, lambda _, __: None)
    with NamespaceVmPool(folder / "vms", authorized_key=public, gateway=gateway) as vms:
        vms.launch("i-0", private_ip=ADDRESSES[0], public_ip=public_ip(0))
        pool = log_in(vms, folder)
        return [vms, gateway, pool]


def log_in(vms: InProcessVmPool | NamespaceVmPool, folder: Path) -> MachinePool:
    """Run a command on the first machine."""
    config = Config(
        ssh_keypair_name="rehearsal",
        ssh_key_path=str(folder / "key"),
        ssh_config_path=str(vms.ssh_config),
        infrastructure_json_path=str(folder / "receipts"),
    )
    pool = MachinePool(config, SystemClock(pace=0.01))
    machine = pool.machine("i-0", public_ip(0))
    pool.wait_for_ssh([machine], deadline=600)
    machine.run(["true"])
    pool.close()
    return pool


def use_a_rehearsal(patch: pytest.MonkeyPatch, folder: Path) -> list[object]:
    with run_environment(folder / "vms", Settings(speed=0), imitate=True) as world:
        patch.setenv("AWS_ENDPOINT_URL", world.cloud.url)
        eks.make().cluster("zoo")
        assert connect("zoo", sign("zoo")).list_namespace().items
        ec2 = client("ec2")
        run(ec2, network(ec2))
        parts = (world.cloud, world.hooks, world.machines, world.openwhisk, world.openwhisk.whisk)
        return [world, *parts, *world.hooks.apis.values()]


WORLDS = [
    use_an_api_server,
    use_eks,
    use_openwhisk,
    use_imitated_machines,
    pytest.param(use_machines, marks=needs_machines),
    use_a_rehearsal,
]
Use = Callable[[pytest.MonkeyPatch, Path], list[object]]


@pytest.mark.parametrize("use", WORLDS)
def test_a_closed_world_is_freed_with_its_threads_and_ports(
    use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = leftovers.in_this_process()
    refs = [weakref.ref(item) for item in use(monkeypatch, tmp_path)]
    assert names_after_collection(refs) == []
    assert leftovers.remaining(lambda: without(before)) == []


@pytest.mark.parametrize("use", WORLDS)
def test_a_world_that_something_holds_is_noticed(
    use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = use(monkeypatch, tmp_path)
    name = type(held[0]).__name__
    del held[1:]
    assert name in names_after_collection([weakref.ref(held[0])], patience=0)
    assert f"world {name}" in leftovers.worlds()


def test_a_server_that_nobody_stops_is_noticed() -> None:
    before = leftovers.in_this_process()
    with KubeApiServer() as api:
        found = without(before)
    port = api.url.rpartition(":")[2]
    assert f"port {port}" in found
    assert any(what.startswith(f"thread server of port {port}, since ") for what in found)


def without(before: Sequence[str]) -> list[str]:
    """Return the threads and ports that this process did not have before."""
    return [what for what in leftovers.in_this_process() if what not in before]
