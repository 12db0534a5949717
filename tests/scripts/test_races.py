"""Two simultaneous runs, and the order in which destroy deletes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.engine.plan import Row, inspect_all, only, removal_needs
from aws_setup.engine.step import Action, Found
from aws_setup.infrastructure.cleanup import NodeGroupCleanup
from aws_setup.infrastructure.nat_gateway import ElasticIp, NatGateway
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.teardown import infrastructure_teardown_steps
from tests.infrastructure.test_step_contract import context, create_steps
from tests.support.aws import client
from tests.support.eks import NODE_POLICIES, role
from tests.support.scripts import prepare


def inspected(ctx: Context) -> Context:
    """Fill in what the NAT gateway needs, as a run's inspection does."""
    rows = inspect_all(
        only(infrastructure_steps(ctx.config), ["nat gateway"]), ctx, stop=lambda: None
    )
    ctx.found.update({row.step.name: row.found for row in rows if row.found})
    return ctx


def second_address(ctx: Context) -> None:
    """Allocate a second elastic IP for a run, as two simultaneous runs do."""
    ctx.found["elastic ip"] = ElasticIp().find(ctx) or ElasticIp().create(ctx)
    made = client("ec2").allocate_address(Domain="vpc")
    client("ec2").create_tags(
        Resources=[made["AllocationId"]],
        Tags=[
            {"Key": "lambda-fs:deployment", "Value": "lambda-fs"},
            {"Key": "lambda-fs:step", "Value": "elastic ip"},
        ],
    )
    ctx.found["elastic ip"] = type(ctx.of("elastic ip"))(made["AllocationId"])


@pytest.mark.parametrize("gone", [0, 1], ids=["first gateway", "one was deleted before"])
def test_the_first_runs_nat_gateway_is_used_and_the_second_address_released(
    cloud: RehearsalCloud, tmp_path: Path, gone: int
) -> None:
    folder = prepare(tmp_path / "work")
    create_steps(folder, ["internet gateway", "public subnet 1", "elastic ip"])
    for _ in range(gone):
        with context(folder) as ctx:
            NatGateway().delete(ctx, NatGateway().create(inspected(ctx)))
    with context(folder) as first, context(folder) as second:
        inspected(first), inspected(second)
        second_address(second)
        made = NatGateway().create(first)
        assert NatGateway().create(second).id == made.id
        assert NatGateway().wait(second, made).ready
    live = [
        gateway
        for gateway in client("ec2").describe_nat_gateways()["NatGateways"]
        if gateway["State"] in ("pending", "available")
    ]
    assert [gateway["NatGatewayId"] for gateway in live] == [made.id]
    addresses = client("ec2").describe_addresses()["Addresses"]
    assert [address["AllocationId"] for address in addresses] == [first.of("elastic ip").id]


def test_a_token_of_a_deleted_gateway_is_skipped(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    create_steps(folder, ["nat gateway"])
    with context(folder) as ctx:
        inspected(ctx)
        NatGateway().delete(ctx, ctx.of("nat gateway"))
        old = ctx.of("nat gateway").id
        # AWS lists a deleted gateway for an hour and remembers its token for longer.
        client("ec2").delete_tags(Resources=[old], Tags=[{"Key": "lambda-fs:step"}])
        assert NatGateway().create(ctx).id != old


@pytest.mark.parametrize("own_vpc", [True, False])
def test_nodes_are_deleted_at_once_only_where_their_cluster_ends_too(own_vpc: bool) -> None:
    """EKS deletes a cluster after its node groups; volumes that are left go after the cluster."""
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem", create_vpc=own_vpc)
    rows = [Row(step, Action.EXISTS, Found("id")) for step in infrastructure_teardown_steps(config)]
    nodes, others = {"core-nodes", "invoker-nodes"}, "other node groups"
    before = removal_needs(rows)
    assert before["core-nodes"] == before["invoker-nodes"] == set()
    assert nodes <= before[others], "what is needed is deleted last"
    assert {*nodes, others, "openwhisk release", "storage probe"} <= before["eks cluster"]
    assert {"eks cluster", *nodes} <= before["left by Kubernetes"]
    # `destroy --only` leaves the cluster: what runs on the nodes is then deleted with them.
    kept = [replace(row, found=None) if row.step.name == "eks cluster" else row for row in rows]
    assert {"openwhisk release", "storage probe"} <= removal_needs(kept)["core-nodes"]


def test_other_node_groups_are_those_that_no_step_manages(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "work")
    create_steps(folder, ["eks cluster", "public subnet 1"])
    nodes = role("node-role", "ec2.amazonaws.com", *NODE_POLICIES)
    with context(folder) as ctx:
        cluster = client("eks").describe_cluster(name=ctx.config.eks_cluster_name)["cluster"]
        for name in ("core-nodes", "a-colleagues"):
            client("eks").create_nodegroup(
                clusterName=cluster["name"],
                nodegroupName=name,
                subnets=cluster["resourcesVpcConfig"]["subnetIds"],
                nodeRole=nodes,
            )
        found = NodeGroupCleanup(known=("core-nodes",)).find(ctx)
    assert found is not None
    assert found.id == "a-colleagues"
