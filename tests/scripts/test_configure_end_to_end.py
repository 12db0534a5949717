"""Complete runs with a cluster that checks tokens, and load balancers and volumes in AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import create_aws_infrastructure
from aws_setup.rehearsal.aws.certificates import ServerCertificates
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


def in_iam() -> list[str]:
    """Return what IAM shows in every region."""
    iam = client("iam")
    certificates = iam.list_server_certificates()["ServerCertificateMetadataList"]
    providers = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    found = (*iam.list_roles()["Roles"], *providers, *certificates)
    return sorted(str(item["Arn"]) for item in found)


def check_destroy_of_another_region(zoo: Lab) -> None:
    """Check that a destroy elsewhere deletes nothing in IAM, also of an earlier version's."""
    before = in_iam()
    for kept in (zoo.folder / "infrastructure_json").glob("*.json"):
        kept.unlink()
    words = ("destroy", "--region", "eu-west-1")
    assert zoo.run(*words, script=create_aws_infrastructure)["leftovers"] == []
    assert in_iam() == before
    for role in client("iam").list_roles()["Roles"]:
        client("iam").untag_role(RoleName=role["RoleName"], TagKeys=["lambda-fs:region"])
    for stored in zoo.cloud.store_of(ServerCertificates).values():
        stored["ServerCertificateMetadata"]["Path"] = "/lambda-fs/lambda-fs/"
    left = zoo.run(*words, code=3, script=create_aws_infrastructure)["leftovers"]
    assert [item["what"] for item in left] == ["node role"]
    assert in_iam() == before


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
    check_destroy_of_another_region(zoo)
    ebs = {"Filters": [{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}]}
    assert client("ec2").describe_volumes(**ebs)["Volumes"]
    done = zoo.destroy_everything()
    assert done["leftovers"] == []
    assert [arn for arn in in_iam() if "lambda-fs" in arn or "oidc" in arn] == []
    assert client("ec2").describe_volumes(**ebs)["Volumes"] == []
    assert client("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []
    assert client("eks").list_clusters()["clusters"] == []
