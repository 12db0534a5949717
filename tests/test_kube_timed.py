"""A balancer on a clock that runs: made late, and deleted once its interfaces let go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aws_setup.rehearsal.kube.hooks import KubeHooks
from aws_setup.rehearsal.server import RehearsalCloud
from tests.cloud import client, slow_cloud
from tests.eks_world import advance, make
from tests.kube_tokens import connect, sign

__all__ = ["slow_cloud"]


@pytest.fixture
def zoo(slow_cloud: RehearsalCloud) -> Iterator[KubeHooks]:
    with KubeHooks(slow_cloud) as hooks:
        make().cluster()
        advance(slow_cloud, 561)
        client("eks").describe_cluster(name="zoo")
        advance(slow_cloud, 5)
        yield hooks


def test_a_service_goes_only_after_its_group(zoo: KubeHooks, slow_cloud: RehearsalCloud) -> None:
    v1, elb = connect("zoo", sign("zoo")), client("elb")
    v1.create_namespaced_service(
        "default",
        {
            "metadata": {"name": "s"},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]},
        },
    )
    assert not v1.read_namespaced_service("s", "default").status.load_balancer.ingress
    advance(slow_cloud, 26)
    assert v1.read_namespaced_service("s", "default").status.load_balancer.ingress
    v1.delete_namespaced_service("s", "default")
    advance(slow_cloud, 11)
    assert v1.read_namespaced_service("s", "default").metadata.deletion_timestamp
    assert elb.describe_load_balancers()["LoadBalancerDescriptions"] == []
    events = [one.message for one in v1.list_namespaced_event("default").items]
    assert any("DependencyViolation" in one for one in events)
    advance(slow_cloud, 90)
    assert v1.list_namespaced_service("default").items == []
    groups = [{"Name": "group-name", "Values": ["k8s-elb-*"]}]
    assert client("ec2").describe_security_groups(Filters=groups)["SecurityGroups"] == []
