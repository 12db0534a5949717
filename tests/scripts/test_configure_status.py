"""What `status` shows of a cluster with problems; how configure handles changed nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import configure_eks_cluster
from aws_setup.cli.app import script_command
from aws_setup.eks.node_launch_template import GROUP_LABEL, ROLE_LABEL
from aws_setup.openwhisk.listener_access import RECONCILED
from aws_setup.rehearsal.kubernetes.api import deletion
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.cluster import ConfiguredLab, Lab, configured_lab
from tests.support.copies import SHARED
from tests.support.eks import instances
from tests.support.managed_groups import health, revoke_all, rules_of_aws

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope=SHARED)
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredLab]:
    """A cluster that is configured, of which each test has a copy."""
    with configured_lab(tmp_path_factory.mktemp("world") / "laptop", full=True) as made:
        yield made


@pytest.fixture
def zoo(configured: ConfiguredLab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return configured.enter_lab(monkeypatch)


def shown(zoo: Lab) -> str:
    """Return what `status` prints without --json."""
    command = script_command(configure_eks_cluster.SCRIPT, folder=zoo.folder)
    where = ["-y", str(zoo.folder / "config_aws.yaml")]
    done = CliRunner(env={"COLUMNS": "400"}).invoke(command, ["status", *where])
    assert done.exit_code == 0, done.output
    return done.stdout


def nodes_of(zoo: Lab, group: str) -> list[Any]:
    nodes = zoo.api.state.all("nodes")
    return [node for node in nodes if node["metadata"]["labels"].get(GROUP_LABEL) == group]


def test_a_healthy_cluster_is_shown_in_numbers(zoo: Lab) -> None:
    text = shown(zoo)
    for expected in (
        "(core 1 of 1, invoker 2 of 2 ready)",
        "aws-ebs-csi-driver (ACTIVE v",
        "openwhisk/owdev (deployed, revision 1)",
        "days left)",
        "(2 healthy invokers)",
    ):
        assert expected in text, expected
    steps = steps_of(zoo.run("status"))
    assert {step["action"] for step in steps.values()} == {"exists"}
    assert steps["openwhisk ready"]["notes"] == []


def test_unready_nodes_and_pods_and_changed_values_are_named_with_their_reasons(zoo: Lab) -> None:
    (core,) = nodes_of(zoo, "core-nodes")
    name = core["metadata"]["name"]
    zoo.api.faults.add({"fault": "node-not-ready", "node": name, "message": "cni broke"})
    for pod, kind in (("owdev-kafka*", "pod-not-ready"), ("owdev-controller*", "image-pull")):
        zoo.api.faults.add({"fault": kind, "pod": pod})
        for item in zoo.api.state.all("pods", "openwhisk"):
            if item["metadata"]["name"].startswith(pod.rstrip("*")):
                zoo.api.state.remove("pods", item)
    zoo.save(openwhisk_action_memory=21_000, num_openwhisk_invoker_vms=1)
    zoo.api.controllers.run()
    steps = steps_of(zoo.run("status"))
    assert steps["node labels"]["state"] == "core 0 of 1, invoker 2 of 2 ready"
    assert steps["node labels"]["notes"] == [f"node {name}: KubeletNotReady cni broke"]
    notes = " ".join(steps["openwhisk ready"]["notes"])
    assert "pod owdev-kafka-0: not ready" in notes
    assert "pod owdev-controller-0: " in notes
    assert "pull rate limit" in notes
    assert steps["openwhisk api"]["state"] == "2 healthy invokers"
    (drift,) = steps["openwhisk release"]["drift"]
    assert "invoker.containerFactory.kubernetes.replicaCount" in drift["has"]
    (drift,) = steps["invoker-nodes"]["drift"]
    assert (drift["what"], drift["has"], drift["wants"]) == ("nodes", "2", "1")
    assert "pod owdev-kafka-0: not ready" in shown(zoo)


def test_values_that_were_changed_with_helm_are_named_and_changed_back(zoo: Lab) -> None:
    kubeconfig = zoo.folder / "admin.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(zoo.api.kubeconfig(token=eks_token())))
    helm(zoo, kubeconfig, "--set", "whisk.containerPool.userMemory=1m")
    steps = steps_of(zoo.run("status"))
    (drift,) = steps["openwhisk release"]["drift"]
    assert drift["what"] == "values"
    assert drift["has"].startswith("whisk.containerPool.userMemory")
    zoo.run("configure")
    invoker = zoo.api.state.require("statefulsets", "owdev-invoker", "openwhisk")
    (container,) = invoker["spec"]["template"]["spec"]["containers"]
    assert "1m" not in [item.get("value") for item in container["env"]]
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def eks_token() -> str:
    """Return a token of the cluster's creator."""
    from aws_setup.aws.session import Aws
    from aws_setup.kube.eks_token import sign

    return sign(Aws(region="us-east-1"), "zoo")


def helm(zoo: Lab, kubeconfig: Path, *words: str) -> None:
    """Upgrade the release as a user would in a shell."""
    import subprocess

    program = str(zoo.folder / "bin" / "helm")
    upgrade = ["upgrade", "owdev", str(zoo.folder / "chart"), "-n", "openwhisk", "--reuse-values"]
    reach = ["--kubeconfig", str(kubeconfig)]
    subprocess.run(
        [program, *upgrade, *words, *reach],
        check=True,
        capture_output=True,
        timeout=120,
        env={**os.environ},
    )


def test_labels_changed_in_kubernetes_or_in_eks_are_changed_back(zoo: Lab) -> None:
    first, second = nodes_of(zoo, "invoker-nodes")
    for node, label in ((first, {}), (second, {ROLE_LABEL: "core"})):
        held = dict(node["metadata"]["labels"])
        held.pop(ROLE_LABEL)
        changed = {**node, "metadata": {**node["metadata"], "labels": held | label}}
        zoo.api.state.put("nodes", changed)
    client("eks").update_nodegroup_config(
        clusterName="zoo", nodegroupName="core-nodes", labels={"removeLabels": [ROLE_LABEL]}
    )
    steps = steps_of(zoo.run("status"))
    assert sorted(item["has"] for item in steps["node labels"]["drift"]) == ["core", "none"]
    assert [item["what"] for item in steps["core-nodes"]["drift"]] == ["labels"]
    done = steps_of(zoo.run("configure"))
    assert done["node labels"]["action"] == "update"
    assert done["core-nodes"]["action"] == "update"
    roles = [node["metadata"]["labels"][ROLE_LABEL] for node in nodes_of(zoo, "invoker-nodes")]
    assert roles == ["invoker", "invoker"]
    group = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName="core-nodes")
    assert group["nodegroup"]["labels"][ROLE_LABEL] == "core"
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


@pytest.mark.kind("A2", "D2")
def test_revoked_rules_of_the_groups_of_eks_and_kubernetes_are_shown_and_made_again(
    zoo: Lab,
) -> None:
    before = rules_of_aws()
    assert len(before) == 3, "of the cluster, and of both load balancers"
    revoke_all()
    zoo.api.controllers.invalidate()
    zoo.api.controllers.run()
    assert not any(rules_of_aws().values()), "Kubernetes does not look at them by itself"
    assert health() == {"OutOfService"}
    steps = steps_of(zoo.run("plan"))
    (lets_in, *others) = steps["openwhisk public address"]["drift"]
    assert (lets_in["has"], lets_in["wants"]) == ("no address", "52.94.76.7/32")
    lacking = [drift["what"] for drift in others]
    assert "traffic from the load balancer to the nodes" in lacking
    assert [it["what"] for it in steps["openwhisk address"]["drift"]][1:] == lacking
    whats = str(steps["node ingress"]["drift"])
    assert "traffic within the group" in whats
    assert "outbound traffic" in whats
    # helm upgrades the Service of which Kubernetes looks at the load balancer again.
    zoo.save(openwhisk_action_memory=512)
    done = steps_of(zoo.run("configure"))
    repaired = {"node ingress", "openwhisk address", "openwhisk public address"}
    updated = {name for name, step in done.items() if step["action"] == "update"}
    assert updated == repaired | {"openwhisk release"}
    assert rules_of_aws() == before
    assert health() == {"InService"}
    service = zoo.api.state.require("services", "owdev-nginx", "openwhisk")
    assert RECONCILED in service["metadata"]["annotations"]
    writes = len(zoo.cloud.calls.writes())
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    assert len(zoo.cloud.calls.writes()) == writes


def node_ids() -> set[str]:
    """Return the ids of the nodes' instances."""
    return {item["InstanceId"] for item in instances(Component="EKSNode")}


def test_another_disk_replaces_the_nodes_and_another_type_is_a_conflict(zoo: Lab) -> None:
    before = node_ids()
    zoo.save(eks_node_disk_size=60)
    planned = steps_of(zoo.run("plan"))
    assert planned["core-nodes template"]["action"] == "update"
    done = steps_of(zoo.run("configure"))
    assert done["core-nodes"]["action"] == done["invoker-nodes"]["action"] == "update"
    group = client("eks").describe_nodegroup(clusterName="zoo", nodegroupName="core-nodes")
    used = group["nodegroup"]["launchTemplate"]
    (version,) = client("ec2").describe_launch_template_versions(
        LaunchTemplateId=used["id"], Versions=[used["version"]]
    )["LaunchTemplateVersions"]
    disk = version["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]
    assert disk["VolumeSize"] == 60
    assert len(node_ids()) == len(before) == len(zoo.api.state.all("nodes"))
    assert not before & node_ids()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    writes = len(zoo.cloud.calls.writes())
    zoo.save(openwhisk_core_instance_type="r5.2xlarge")
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert "instance type is r5.xlarge" in problem["what"]
    assert "delete the node group core-nodes" in problem["hint"]
    assert len(zoo.cloud.calls.writes()) == writes


def test_a_namespace_that_was_deleted_with_all_in_it_is_made_again(zoo: Lab) -> None:
    state = zoo.api.state
    before = {plural: zoo.objects(plural) for plural in ("services", "statefulsets", "secrets")}
    deletion.delete_object(state, "namespaces", state.require("namespaces", "openwhisk"))
    zoo.api.controllers.run()
    assert zoo.objects("pods") == []
    zoo.run("configure")
    assert {
        plural: sorted({*zoo.objects(plural)} & {*names}) for plural, names in before.items()
    } == before
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


@pytest.mark.parametrize("damage", [b"\x00\xff\xfe", b"AUTH=a:b\n", b""])
def test_a_damaged_hand_over_file_is_deleted_with_the_keys(zoo: Lab, damage: bytes) -> None:
    path = zoo.folder / "infrastructure_json" / "lambda-fs.wskprops"
    path.write_bytes(damage)
    zoo.run("destroy", "--only", "openwhisk keys")
    assert not path.exists()
