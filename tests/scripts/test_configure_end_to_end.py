"""Complete runs with a cluster that checks tokens, and load balancers and volumes in AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.rehearsal.aws.elb import DNS_SUFFIX
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def test_configure_twice_and_destroy(zoo: Lab) -> None:
    result = steps_of(zoo.run("configure"))
    assert f".elb.{DNS_SUFFIX}:" in result["openwhisk api"]["id"]
    assert isinstance(zoo.hooks, EksApiServers)
    assert zoo.hooks.refusals == []
    both = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    assert [item["Scheme"] for item in both] == ["internal", "internet-facing"]
    (certificate,) = client("iam").list_server_certificates()["ServerCertificateMetadataList"]
    for balancer in both:
        listeners = [item["Listener"] for item in balancer["ListenerDescriptions"]]
        assert certificate["Arn"] in {item.get("SSLCertificateId") for item in listeners}
    volumes = client("ec2").describe_volumes(
        Filters=[{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}]
    )["Volumes"]
    assert volumes

    before = zoo.writes()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    assert zoo.writes() == before

    assert zoo.run("destroy")["leftovers"] == []
    assert client("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []
    assert client("iam").list_server_certificates()["ServerCertificateMetadataList"] == []
    left = client("ec2").describe_volumes(
        Filters=[{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}]
    )
    assert left["Volumes"] == []


def test_volumes_that_outlive_their_nodes_are_deleted_in_a_vpc_that_is_not_owned(zoo: Lab) -> None:
    zoo.run("configure")
    ebs = {"Filters": [{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}]}
    assert client("ec2").describe_volumes(**ebs)["Volumes"]
    done = zoo.destroy_everything()
    assert done["leftovers"] == []
    assert client("ec2").describe_volumes(**ebs)["Volumes"] == []
    assert client("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []
    assert client("eks").list_clusters()["clusters"] == []
