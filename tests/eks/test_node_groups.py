"""Node groups: what differs from the configuration, what is fixed in place, and what failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.config import Config
from aws_setup.eks.active_cluster import endpoint_problem
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.eks.addons import addon_step
from aws_setup.eks.node_group_problems import capacity_hint, failure_of
from aws_setup.eks.node_groups import CONFIG, VERSION, NodeGroup
from aws_setup.eks.node_launch_template import CONTENTS, NodeGroupSpec
from aws_setup.eks.node_subnets import node_subnets
from aws_setup.engine.step import Drift, DriftKey, Found
from aws_setup.errors import SetupError

SPEC = NodeGroupSpec("core-nodes", "core", "r5.xlarge", 3)
STEP = NodeGroup(SPEC)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no EKS to ask; `with_subnets` sets the cluster of a test of subnets."""
    monkeypatch.setattr("aws_setup.eks.node_subnets.cluster_of", lambda _: None)


def context(**more: Any) -> Any:
    template = Found("lt-1", facts={"version": 2})
    found = {"core-nodes template": template}
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
    return SimpleNamespace(found=found, config=config, owned_only=False, **more)


def group(**more: Any) -> dict[str, Any]:
    return {
        "nodegroupName": "core-nodes",
        "nodegroupArn": "arn:aws:eks:us-east-1:123456789012:nodegroup/zoo/core-nodes/1",
        "status": "ACTIVE",
        "tags": {DEPLOYMENT_TAG: "lambda-fs"},
        "instanceTypes": ["r5.xlarge"],
        "scalingConfig": {"minSize": 3, "maxSize": 3, "desiredSize": 3},
        "labels": {"openwhisk-role": "core"},
        "nodeRole": "arn:aws:iam::123456789012:role/lambda-fs-eks-node-role",
        "launchTemplate": {"version": "2"},
    } | more


@pytest.mark.parametrize(
    ("change", "whats", "keys"),
    [
        ({}, [], []),
        ({"labels": {"openwhisk-role": "core", "team": "x"}}, [], []),
        (
            {"scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 2}},
            ["nodes"],
            [CONFIG],
        ),
        ({"labels": {}}, ["labels"], [CONFIG]),
        ({"launchTemplate": {"version": "1"}}, ["template version"], [VERSION]),
        ({"status": "CREATE_FAILED"}, ["status"], [DriftKey.STATUS]),
        ({"status": "DELETE_FAILED"}, ["status"], [DriftKey.STATUS]),
        ({"status": "DELETING"}, ["status"], [DriftKey.STATUS]),
    ],
)
def test_drift_that_is_corrected_says_by_its_key_how(
    change: dict[str, Any], whats: list[str], keys: list[str]
) -> None:
    drift = STEP._drift(context(), group(**change))
    assert [item.what for item in drift] == whats
    assert [item.key for item in drift] == keys
    assert not any(item.fix for item in drift)


def test_another_instance_type_is_a_conflict_with_a_fix() -> None:
    (drift,) = STEP._drift(context(), group(instanceTypes=["m5.large"]))
    assert (drift.has, drift.wants) == ("m5.large", "r5.xlarge")
    assert "core-nodes" in drift.fix


def test_another_role_is_a_conflict_with_a_fix() -> None:
    (drift,) = STEP._drift(context(), group(nodeRole="arn:aws:iam::123456789012:role/mine"))
    assert (drift.what, drift.has) == ("role", "mine")
    assert drift.fix == "set eks_node_role_name: mine"


def test_a_plan_that_changes_the_template_says_that_nodes_are_replaced() -> None:
    """The template has no new version yet."""
    ctx = context()
    changed = (Drift(CONTENTS, "an older version", "as configured"),)
    ctx.found["core-nodes template"] = Found("lt-1", facts={"version": 2}, drift=changed)
    (drift,) = STEP._drift(ctx, group())
    assert drift.key == VERSION
    assert "EKS replaces the nodes" in drift.wants


@pytest.mark.parametrize(("tags", "owner"), [({}, "none"), ({DEPLOYMENT_TAG: "other"}, "other")])
def test_a_group_of_another_owner_is_a_conflict(tags: dict[str, str], owner: str) -> None:
    (drift,) = STEP._drift(context(), group(tags=tags, labels={}))
    assert drift.key is DriftKey.OWNER
    assert drift.has == owner
    assert drift.fix


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("InsufficientInstanceCapacity", "openwhisk_core_instance_type"),
        ("NodeCreationFailure", "re-creates"),
    ],
)
def test_the_fix_of_a_failed_group_depends_on_the_reason(code: str, part: str) -> None:
    health = {"issues": [{"code": code, "message": "the reason"}]}
    failed = failure_of(SPEC, group(status="CREATE_FAILED", health=health))
    (problem,) = failed.problems
    assert problem.what == "the node group is CREATE_FAILED"
    assert problem.why == f"{code}: the reason"
    assert part in problem.hint


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        ("CREATE_FAILED", ["re-creates the node group", "openwhisk_core_instance_type"]),
        ("DELETE_FAILED", ["re-creates the node group", "openwhisk_core_instance_type"]),
        ("CREATING", ["waits on", "when EKS has given up", "openwhisk_core_instance_type"]),
        ("DEGRADED", ["same command again later", "delete the node group core-nodes"]),
    ],
)
def test_the_fix_for_a_lack_of_machines_is_true_in_the_state(status: str, parts: list[str]) -> None:
    hint = capacity_hint(SPEC, status)
    assert not [part for part in parts if part not in hint]
    assert ("re-creates" in hint) == (status != "DEGRADED")


def subnet(name: str, **more: Any) -> dict[str, Any]:
    return {"SubnetId": name, "VpcId": "vpc-1", "Tags": []} | more


def table(target: str, *subnets: str, main: bool = False) -> dict[str, Any]:
    """Return a route table with a default route to a target."""
    field = "GatewayId" if target.startswith("igw-") else "NatGatewayId"
    associations: list[dict[str, Any]] = [{"SubnetId": name, "Main": False} for name in subnets]
    if main:
        associations.append({"Main": True})
    routes = [{"DestinationCidrBlock": "0.0.0.0/0", field: target}] if target else []
    return {"RouteTableId": f"rtb-{target}", "Associations": associations, "Routes": routes}


ELB = [{"Key": "kubernetes.io/role/elb", "Value": "1"}]


@pytest.mark.kind("A7")
@pytest.mark.parametrize(
    ("public", "names"), [(False, ["isolated", "mapped", "tagged"]), (True, ["other", "public"])]
)
def test_the_nodes_subnets_are_chosen_by_their_route_tables(
    monkeypatch: pytest.MonkeyPatch, public: bool, names: list[str]
) -> None:
    subnets = [
        subnet("public"),
        subnet("other"),
        subnet("mapped", MapPublicIpOnLaunch=True),
        subnet("tagged", Tags=ELB),
        subnet("isolated"),
    ]
    tables = [table("igw-1", main=True), table("nat-1", "mapped", "tagged"), table("", "isolated")]
    ctx = with_subnets(monkeypatch, subnets, tables)
    ctx.config = ctx.config.model_copy(update={"eks_nodes_public": public})
    assert node_subnets(ctx) == names


def test_a_cluster_without_subnets_of_the_kind_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = with_subnets(monkeypatch, [subnet("public")], [table("igw-1", "public")])
    with pytest.raises(SetupError, match="no private subnets") as caught:
        node_subnets(ctx)
    assert caught.value.problems[0].hint == "set eks_nodes_public: True"


@pytest.mark.parametrize(
    ("used", "public", "has"),
    [("private", True, "private"), ("public", False, "public"), ("private", False, "")],
)
def test_nodes_in_subnets_of_the_other_kind_are_a_conflict_with_two_fixes(
    monkeypatch: pytest.MonkeyPatch, used: str, public: bool, has: str
) -> None:
    tables = [table("igw-1", "public"), table("nat-1", "private")]
    ctx = with_subnets(monkeypatch, [subnet("public"), subnet("private")], tables)
    ctx.config = ctx.config.model_copy(update={"eks_nodes_public": public})
    drift = STEP._drift(ctx, group(subnets=[used]))
    assert [(one.what, one.has) for one in drift] == ([("subnets", has)] if has else [])
    if has:
        assert f"set eks_nodes_public: {not public}, or delete the node group" in drift[0].fix


def with_subnets(
    monkeypatch: pytest.MonkeyPatch, subnets: list[dict[str, Any]], tables: list[dict[str, Any]]
) -> Any:
    ids = [item["SubnetId"] for item in subnets]
    cluster = {"resourcesVpcConfig": {"subnetIds": ids, "vpcId": "vpc-1"}}
    monkeypatch.setattr("aws_setup.eks.node_subnets.cluster_of", lambda _: cluster)
    ec2 = SimpleNamespace(describe_route_tables=lambda **_: {"RouteTables": tables})
    return context(aws=SimpleNamespace(ec2=ec2))


def test_every_add_on_is_before_or_after_the_nodes() -> None:
    groups = ("core-nodes", "invoker-nodes")
    for spec in ADDONS:
        step = addon_step(spec, groups)
        assert set(groups) <= set(step.follows) if spec.on_nodes else step.name in STEP.follows
        assert not spec.role or spec.role.name in step.needs
        assert ("iam:PassRole" in spec.actions) == bool(spec.role)


@pytest.mark.kind("A7")
@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({}, ""),
        ({"endpointPublicAccess": True, "endpointPrivateAccess": True}, ""),
        ({"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]}, ""),
        ({"endpointPublicAccess": False, "endpointPrivateAccess": True}, "is private"),
        (
            {"endpointPrivateAccess": False, "publicAccessCidrs": ["203.0.113.0/24"]},
            "private endpoint of EKS cluster lab is off",
        ),
    ],
)
def test_an_existing_clusters_endpoint_is_one_that_nodes_and_this_computer_reach(
    network: dict[str, object], said: str
) -> None:
    problem = endpoint_problem({"name": "lab", "resourcesVpcConfig": network})
    assert (said in problem.what) if problem else not said
    assert problem is None or "`aws eks update-cluster-config --name lab" in problem.hint
