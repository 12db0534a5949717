"""Quotas without any cloud: which ones a plan counts against, and when one is exceeded."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.preflight.planned import Launch, PlannedResources
from aws_setup.preflight.quotas import QuotaUsage, count_vcpus, needed_quotas

TYPES = {
    name: {"InstanceType": name, "VCpuInfo": {"DefaultVCpus": vcpus}}
    for name, vcpus in {
        "r5.4xlarge": 16,
        "m6g.large": 2,
        "p4d.24xlarge": 96,
        "inf1.xlarge": 4,
        "hpc6a.48xlarge": 96,
        "x2idn.16xlarge": 64,
    }.items()
}


@pytest.mark.parametrize(
    ("machines", "vcpus"),
    [
        ({"r5.4xlarge": 3}, 48),
        ({"r5.4xlarge": 1, "m6g.large": 2}, 20),
        ({"p4d.24xlarge": 1}, 0),
        ({"inf1.xlarge": 1, "hpc6a.48xlarge": 1, "x2idn.16xlarge": 1}, 0),
        ({"r5.40xlarge": 1}, 0),
        ({}, 0),
    ],
    ids=["standard", "two types", "accelerated", "same first letter", "unknown type", "nothing"],
)
def test_only_standard_families_count(machines: dict[str, int], vcpus: int) -> None:
    assert count_vcpus(Counter(machines), TYPES) == vcpus


@pytest.mark.parametrize(
    ("limit", "used", "needed", "exceeded"),
    [(5, 4, 1, False), (5, 5, 1, True), (64, 0, 160, True), (0, 0, 0, False)],
)
def test_a_quota_is_exceeded_by_used_and_needed_together(
    limit: float, used: float, needed: float, exceeded: bool
) -> None:
    assert QuotaUsage("VPCs", limit, used, needed, "vpc", "L-1").exceeded is exceeded


def test_the_message_requests_the_sum() -> None:
    usage = QuotaUsage("VPCs", limit=5, used=5, needed=1, service="vpc", code="L-F678F1CE")
    what, why, hint = usage.message("us-east-1")
    assert what == "the quota of VPCs is too small"
    assert why == "1 are needed and 5 are in use; us-east-1 allows 5 (L-F678F1CE)"
    assert "--service-code vpc --quota-code L-F678F1CE --desired-value 6 --region us-east-1" in hint


def needed(*steps: str, launches: tuple[Launch, ...] = (), **keys: Any) -> dict[str, float]:
    """Return how much of each quota a plan needs, by the quota's name."""
    config = Config.model_validate({"ssh_keypair_name": "k", "ssh_key_path": "k", **keys})
    ctx: Any = SimpleNamespace(config=config)
    planned = PlannedResources(ctx, frozenset(steps), launches)
    planned.__dict__["_instance_types"] = TYPES
    return {quota.what: amount for quota, amount in needed_quotas(planned)}


def test_a_plan_counts_only_against_the_quotas_of_what_it_creates() -> None:
    assert needed() == {}
    assert needed("public subnet 1", "launch template lambda_fs_clients") == {}
    assert needed("vpc", "elastic ip", "internet gateway", "nat gateway", "eks cluster") == {
        "VPCs": 1,
        "elastic IPs": 1,
        "internet gateways": 1,
        "NAT gateways in a zone": 1,
        "EKS clusters": 1,
    }
    groups = [f"auto-scaling group {name}" for name in "abc"]
    assert needed(*groups) == {"auto-scaling groups": 3}


def test_a_node_group_counts_with_all_its_nodes() -> None:
    """One that grows launches only those that it lacks."""
    nodes = (Launch("invoker-nodes", "", "r5.4xlarge", 20),)
    counted = {
        number: needed(launches=nodes, num_openwhisk_invoker_vms=number) for number in (450, 451)
    }
    assert "nodes of a managed node group" not in counted[450]
    assert counted[451]["nodes of a managed node group"] == 451


def test_launches_count_by_their_vcpus() -> None:
    launches = (Launch("zookeeper", "", "r5.4xlarge", 3), Launch("client", "", "m6g.large", 1))
    assert needed(launches=launches) == {"vCPUs of standard instances": 50}
    spot = Launch("invoker-nodes", "", "r5.4xlarge", 2, spot=True)
    assert needed(launches=(*launches, spot)) == {
        "vCPUs of standard instances": 50,
        "vCPUs of standard Spot instances": 32,
    }
    assert needed(launches=(Launch("template", "", "r5.4xlarge", 0),)) == {}
