"""Drift and health of what configure makes: tags, node groups, the cluster, volume claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)

CLAIMS = "persistentvolumeclaims"
ISSUE = {"code": "AsgInstanceLaunchFailures", "message": "You've reached your quota"}


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def changed(zoo: Lab) -> dict[str, str]:
    """Return step -> action of what a plan would change, conflicts included."""
    steps = zoo.run("plan", code=None)["steps"]
    return {step["name"]: step["action"] for step in steps if step["action"] != "exists"}


@pytest.mark.kind("A2", "D2")
def test_what_is_no_longer_right_is_named_and_mended_or_refused(zoo: Lab) -> None:
    zoo.save(tags={"CostCentre": "42"})
    zoo.run("configure")
    assert changed(zoo) == {}
    tags_changed_by_hand(zoo)
    objects_of_add_ons(zoo)
    degraded_node_groups_and_clusters(zoo)
    claims(zoo)
    other_subnets_of_the_cluster(zoo)


def tags_changed_by_hand(zoo: Lab) -> None:
    eks, iam = client("eks"), client("iam")
    names = eks.list_nodegroups(clusterName="zoo")["nodegroups"]
    group = eks.describe_nodegroup(clusterName="zoo", nodegroupName=names[0])["nodegroup"]
    eks.untag_resource(resourceArn=group["nodegroupArn"], tagKeys=["CostCentre", "Project"])
    eks.tag_resource(resourceArn=group["nodegroupArn"], tags={"Team": "storage"})
    addon = eks.describe_addon(clusterName="zoo", addonName="coredns")["addon"]
    eks.untag_resource(resourceArn=addon["addonArn"], tagKeys=["lambda-fs:deployment"])
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    named = {"OpenIDConnectProviderArn": provider["Arn"]}
    before = iam.get_open_id_connect_provider(**named)["Tags"]
    iam.untag_open_id_connect_provider(**named, TagKeys=["CostCentre", "Project"])
    steps = (names[0], "coredns add-on", "oidc provider")
    assert changed(zoo) == dict.fromkeys(steps, "update")
    zoo.run("configure")
    again = eks.describe_nodegroup(clusterName="zoo", nodegroupName=names[0])["nodegroup"]
    assert again["tags"] == group["tags"] | {"Team": "storage"}
    assert eks.describe_addon(clusterName="zoo", addonName="coredns")["addon"] == addon
    written = iam.get_open_id_connect_provider(**named)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in written} == {
        it["Key"]: it["Value"] for it in before
    }
    eks.untag_resource(resourceArn=addon["addonArn"], tagKeys=[*addon["tags"]])
    assert changed(zoo) == {}, "an add-on without a mark may be of others"


def objects_of_add_ons(zoo: Lab) -> None:
    """EKS says ACTIVE of an add-on whose objects are gone: its pods, DNS and volumes are, too."""
    state, space = zoo.api.state, "kube-system"
    gone = (
        ("deployments", "coredns"),
        ("configmaps", "coredns"),
        ("daemonsets", "ebs-csi-node"),
        ("serviceaccounts", "ebs-csi-controller-sa"),
    )
    for plural, name in gone:
        state.remove(plural, state.require(plural, name, space))
    named = {step["name"]: step for step in zoo.run("plan")["steps"]}
    for step in ("coredns add-on", "aws-ebs-csi-driver add-on"):
        assert named[step]["action"] == "update"
    zoo.run("configure")
    assert all(state.get(plural, name, space) for plural, name in gone)
    assert changed(zoo) == {}
    held = state.require("deployments", "coredns", space)
    held["spec"]["replicas"] = 0
    state.put("deployments", held)
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert "kubectl -n kube-system scale deployment coredns" in problem["hint"]
    held["spec"]["replicas"] = 2
    state.put("deployments", held)


def degraded_node_groups_and_clusters(zoo: Lab) -> None:
    faults = zoo.cloud.faults
    faults.add({"fault": "health-issue", "kind": "nodegroup", "name": "invoker*", **ISSUE})
    failed: Any = zoo.run("configure", code=1)
    (problem,) = [it for it in failed["problems"] if "DEGRADED" in it["what"]]
    assert "reached your quota" in problem["why"]
    assert "re-creates" not in problem["hint"]
    faults.clear()
    issue = {"code": "KmsKeyDisabled", "message": "the key is disabled"}
    faults.add({"fault": "health-issue", "kind": "cluster", **issue})
    (warning,) = [it for it in zoo.run("configure")["warnings"] if "health" in it["what"]]
    assert "the key is disabled" in warning["why"]
    faults.clear()
    zoo.run("configure")


def claims(zoo: Lab) -> None:
    state = zoo.api.state
    names = [item["metadata"]["name"] for item in state.all(CLAIMS, "openwhisk")]
    database = next(name for name in names if "couchdb" in name)
    held = state.require(CLAIMS, database, "openwhisk")
    volumes = "persistentvolumes"
    state.remove(volumes, state.require(volumes, held["spec"]["volumeName"]))
    assert changed(zoo)["openwhisk release"] == "conflict"
    refused: Any = zoo.run("configure", code=2)
    (problem,) = [it for it in refused["problems"] if database in it["what"]]
    assert "snapshot" in problem["hint"]


def other_subnets_of_the_cluster(zoo: Lab) -> None:
    """Nodes stay where they were launched, as EKS changes the subnets of no node group."""
    eks, ec2 = client("eks"), client("ec2")
    network = eks.describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"]
    former = ec2.describe_subnets(SubnetIds=network["subnetIds"])["Subnets"]
    table = ec2.describe_route_tables()["RouteTables"]
    public = next(
        it["RouteTableId"]
        for it in table
        if any(str(route.get("GatewayId")).startswith("igw") for route in it["Routes"])
    )
    others = []
    for number, subnet in enumerate(former):
        made = ec2.create_subnet(
            VpcId=network["vpcId"],
            CidrBlock=f"10.0.{200 + number}.0/24",
            AvailabilityZone=subnet["AvailabilityZone"],
        )["Subnet"]["SubnetId"]
        ec2.associate_route_table(RouteTableId=public, SubnetId=made)
        others.append(made)
    eks.update_cluster_config(name="zoo", resourcesVpcConfig={"subnetIds": others})
    assert changed(zoo)["core-nodes"] == "conflict"
    refused: Any = zoo.run("configure", code=2)
    (problem,) = [it for it in refused["problems"] if it["what"].startswith("core-nodes")]
    assert any(it["SubnetId"] in problem["what"] for it in former)
    assert "delete the node group core-nodes" in problem["hint"]
