"""After an upgrade of Kubernetes: configure upgrades the nodes, then the add-ons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(110)

LAST = ("--only", "add-on upgrades")
GROUPS = ("core-nodes", "invoker-nodes")


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        made.run("configure", *LAST)
        yield made


def versions(*, of: str = "addon") -> dict[str, str]:
    """Return the versions of the node groups, or of the add-ons."""
    api = client("eks")
    if of == "nodegroup":
        described = [
            api.describe_nodegroup(clusterName="zoo", nodegroupName=name)["nodegroup"]
            for name in GROUPS
        ]
        return {it["nodegroupName"]: it["version"] for it in described}
    names = api.list_addons(clusterName="zoo")["addons"]
    addons = [api.describe_addon(clusterName="zoo", addonName=name)["addon"] for name in names]
    return {it["addonName"]: it["addonVersion"] for it in addons}


def nodes(zoo: Lab) -> set[str]:
    """Return the names of the nodes in Kubernetes."""
    return {node["metadata"]["name"] for node in zoo.api.state.all("nodes")}


def upgraded(zoo: Lab) -> str:
    """Upgrade the control plane as a user does; return its version."""
    api = client("eks")
    has = api.describe_cluster(name="zoo")["cluster"]["version"]
    major, minor = has.split(".")
    version = f"{major}.{int(minor) + 1}"
    api.update_cluster_version(name="zoo", version=version)
    return version


def test_nodes_and_then_add_ons_follow_the_control_plane(zoo: Lab, cloud: RehearsalCloud) -> None:
    version, former = upgraded(zoo), nodes(zoo)
    rows = steps_of(zoo.run("plan", *LAST))
    assert {rows[name]["action"] for name in (*GROUPS, "add-on upgrades")} == {"update"}
    assert f"v{version}.0" in str(rows["add-on upgrades"]["drift"])
    sent = len(cloud.calls.writes())
    zoo.run("configure", *LAST)
    assert set(versions(of="nodegroup").values()) == {version}
    assert versions()["kube-proxy"].startswith(f"v{version}.")
    assert len(nodes(zoo)) == len(former)
    assert not nodes(zoo) & former, "EKS replaces nodes, and upgrades none"
    order = [call.action for call in cloud.calls.writes()[sent:]]
    groups, addon = "UpdateNodegroupVersion", "UpdateAddon"
    assert order.index(addon) > max(at for at, it in enumerate(order) if it == groups)
    again: Any = steps_of(zoo.run("configure", *LAST))
    assert {row["action"] for row in again.values()} == {"exists"}


def test_configured_versions_of_add_ons_stay(zoo: Lab) -> None:
    former = versions()
    zoo.save(eks_addon_versions={"kube-proxy": former["kube-proxy"]})
    version = upgraded(zoo)
    zoo.run("configure", *LAST)
    assert versions() == former
    assert set(versions(of="nodegroup").values()) == {version}


def test_the_cluster_itself_is_upgraded_by_the_command_that_the_conflict_names(zoo: Lab) -> None:
    zoo.save(kubernetes_version="1.36")
    steps = steps_of(zoo.run("plan", *LAST, code=None))
    (drift,) = [it for it in steps["eks cluster"]["drift"] if "version" in it["what"]]
    command = "aws eks update-cluster-version --name zoo --kubernetes-version 1.36"
    assert command in drift["mend"]
