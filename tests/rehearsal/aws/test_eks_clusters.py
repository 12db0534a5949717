"""EKS clusters of the rehearsal cloud, against AWS's documented behaviour.

Pages: EKS API reference (API_CreateCluster, API_DeleteCluster, API_UpdateClusterConfig,
API_DescribeClusterVersions); EKS user guide (network-reqs, sec-group-reqs, cluster-endpoint,
kubernetes-versions, cluster-iam-role).
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, refused
from tests.support.eks import advance, make, role, status


def message(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def test_a_cluster_is_creating_for_its_delay(slow_cloud: RehearsalCloud) -> None:
    """API_Cluster: endpoint, CA, issuer and group are there when the cluster is ACTIVE."""
    environment = make()
    made = environment.cluster()
    assert (made["status"], made.get("endpoint")) == ("CREATING", None)
    assert made["resourcesVpcConfig"]["vpcId"] == environment.vpc
    advance(slow_cloud, 559)
    assert status() == "CREATING"
    advance(slow_cloud, 2)
    found = client("eks").describe_cluster(name="zoo")["cluster"]
    assert found["status"] == "ACTIVE"
    assert found["endpoint"].endswith(".gr7.us-east-1.eks.rehearsal.invalid")
    assert found["identity"]["oidc"]["issuer"].startswith("https://oidc.eks.us-east-1.")
    pem = base64.b64decode(found["certificateAuthority"]["data"])
    constraints = x509.load_pem_x509_certificate(pem).extensions
    assert constraints.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_cluster_security_group_and_interfaces_are_real(cloud: RehearsalCloud) -> None:
    """sec-group-reqs and network-reqs: eks-cluster-sg-NAME-*, "Amazon EKS NAME" interfaces."""
    environment, ec2 = make(), client("ec2")
    environment.cluster()
    group = client("eks").describe_cluster(name="zoo")["cluster"]["resourcesVpcConfig"][
        "clusterSecurityGroupId"
    ]
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert found["GroupName"].startswith("eks-cluster-sg-zoo-")
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["kubernetes.io/cluster/zoo"] == "owned"
    assert tags["aws:eks:cluster-name"] == "zoo"
    assert found["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group
    named = [{"Name": "description", "Values": ["Amazon EKS zoo"]}]
    interfaces = ec2.describe_network_interfaces(Filters=named)["NetworkInterfaces"]
    assert {interface["SubnetId"] for interface in interfaces} == set(environment.subnets)
    assert all(interface["Status"] == "in-use" for interface in interfaces)
    assert all([g["GroupId"] for g in interface["Groups"]] == [group] for interface in interfaces)


def test_a_deleted_cluster_deletes_its_interfaces_and_group(
    slow_cloud: RehearsalCloud,
) -> None:
    """API_DeleteCluster: DELETING, then gone; until then its interfaces hold the subnets."""
    environment, ec2, eks = make(), client("ec2"), client("eks")
    environment.cluster()
    assert refused(eks.delete_cluster, name="zoo") == "ResourceInUseException"
    advance(slow_cloud, 600)
    assert eks.delete_cluster(name="zoo")["cluster"]["status"] == "DELETING"
    assert status() == "DELETING"
    named = [{"Name": "description", "Values": ["Amazon EKS zoo"]}]
    assert ec2.describe_network_interfaces(Filters=named)["NetworkInterfaces"]
    advance(slow_cloud, 151)
    assert refused(eks.describe_cluster, name="zoo") == "ResourceNotFoundException"
    assert not ec2.describe_network_interfaces(Filters=named)["NetworkInterfaces"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    assert not [group for group in groups if "zoo" in group["GroupName"]]


def test_a_cluster_whose_network_is_deleted_fails(slow_cloud: RehearsalCloud) -> None:
    """API_ClusterIssue: FAILED with Ec2SubnetNotFound, and it can be deleted."""
    environment, eks = make(), client("eks")
    environment.cluster()
    for subnet in environment.subnets:
        client("ec2").delete_subnet(SubnetId=subnet)
    advance(slow_cloud, 561)
    found = eks.describe_cluster(name="zoo")["cluster"]
    issue = found["health"]["issues"][0]["code"]
    assert (found["status"], issue) == ("FAILED", "Ec2SubnetNotFound")
    eks.delete_cluster(name="zoo")
    advance(slow_cloud, 151)
    assert eks.list_clusters()["clusters"] == []


def test_names(cloud: RehearsalCloud) -> None:
    r"""API_CreateCluster, name: pattern ^[0-9A-Za-z][A-Za-z0-9\-_]*, unique in the region."""
    environment = make()
    assert refused(environment.cluster, name="-zoo") == "InvalidParameterException"
    assert refused(environment.cluster, name="zo.o") == "InvalidParameterException"
    environment.cluster()
    code, text = message(environment.cluster, roleArn=environment.cluster_role, version="1.34")
    assert (code, text) == ("ResourceInUseException", "Cluster already exists with name: zoo")


def test_versions(cloud: RehearsalCloud) -> None:
    """kubernetes-versions: CreateCluster takes what is in support, and refuses the rest."""
    environment = make()
    code, text = message(environment.cluster, version="1.24")
    assert (code, text) == (
        "InvalidParameterException",
        "unsupported Kubernetes version 1.24",
    )
    assert refused(environment.cluster, version="1.99") == "InvalidParameterException"
    assert environment.cluster(version="1.34")["version"] == "1.34"


def test_describe_cluster_versions(cloud: RehearsalCloud) -> None:
    """API_DescribeClusterVersions: one default, filters, pages, unsupported only if asked."""
    eks = client("eks")
    every = eks.describe_cluster_versions()["clusterVersions"]
    assert [item["clusterVersion"] for item in every][:3] == ["1.36", "1.35", "1.34"]
    assert [item["clusterVersion"] for item in every if item["defaultVersion"]] == ["1.35"]
    assert "UNSUPPORTED" not in {item["versionStatus"] for item in every}
    named = eks.describe_cluster_versions(clusterVersions=["1.24"])["clusterVersions"]
    assert named[0]["versionStatus"] == "UNSUPPORTED"
    extended = eks.describe_cluster_versions(versionStatus="EXTENDED_SUPPORT")["clusterVersions"]
    assert all(item["endOfStandardSupportDate"].year == 2026 for item in extended[:2])
    pages = eks.get_paginator("describe_cluster_versions")
    some = [
        cluster_version["clusterVersion"]
        for found in pages.paginate(PaginationConfig={"PageSize": 2})
        for cluster_version in found["clusterVersions"]
    ]
    assert some == [item["clusterVersion"] for item in every]


def test_the_role(cloud: RehearsalCloud) -> None:
    """cluster-iam-role: it exists, trusts eks.amazonaws.com and has AmazonEKSClusterPolicy."""
    environment = make()
    missing = "arn:aws:iam::123456789012:role/missing"
    code, text = message(environment.cluster, roleArn=missing)
    assert code == "InvalidParameterException"
    assert "could not be assumed because it does not exist" in text
    nodes = role("other", "ec2.amazonaws.com", "AmazonEKSClusterPolicy")
    assert "could not be assumed" in message(environment.cluster, roleArn=nodes)[1]
    bare = role("bare", "eks.amazonaws.com")
    assert (
        "doesn't have the Amazon EKS Managed Policies"
        in message(environment.cluster, roleArn=bare)[1]
    )
    assert refused(environment.cluster, roleArn="cluster-role") == "InvalidParameterException"
    other_account = environment.cluster_role.replace("123456789012", "999999999999")
    assert refused(environment.cluster, roleArn=other_account) == "AccessDeniedException"


def test_two_zones(cloud: RehearsalCloud) -> None:
    """network-reqs: subnets in at least two zones, all in one VPC, all existing."""
    environment = make(("us-east-1a", "us-east-1a"))
    code, text = message(environment.cluster)
    assert code == "InvalidParameterException"
    assert "at least two different AZs" in text
    ghost = {"subnetIds": ["subnet-0123456789abcdef0"]}
    assert "InvalidSubnetID.NotFound" in message(environment.cluster, resourcesVpcConfig=ghost)[1]


def test_an_unsupported_zone_names_the_valid_ones(cloud: RehearsalCloud) -> None:
    """network-reqs, subnet requirements: no control plane in use1-az3; the error lists others."""
    zones = client("ec2").describe_availability_zones()["AvailabilityZones"]
    bad = next(zone["ZoneName"] for zone in zones if zone["ZoneId"] == "use1-az3")
    good = next(zone["ZoneName"] for zone in zones if zone["ZoneName"] != bad)
    environment = make((good, bad))
    with pytest.raises(ClientError) as caught:
        environment.cluster()
    assert caught.value.response["Error"]["Code"] == "UnsupportedAvailabilityZoneException"
    valid: Any = caught.value.response.get("validZones")
    assert good in valid
    assert bad not in valid


def test_security_groups_must_be_of_the_vpc(cloud: RehearsalCloud) -> None:
    """network-reqs: additional security groups belong to the subnets' VPC."""
    environment, ec2 = make(), client("ec2")
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=other)["GroupId"]
    stray = {"securityGroupIds": [group]}
    assert refused(environment.cluster, resourcesVpcConfig=stray) == "InvalidParameterException"


def test_the_quota_of_clusters(cloud: RehearsalCloud) -> None:
    """service-quotas page of EKS: L-1194D53C; API_CreateCluster: ResourceLimitExceeded."""
    cloud.settings.quotas.eks_clusters = 1
    environment = make()
    environment.cluster()
    assert refused(environment.cluster, name="two") == "ResourceLimitExceededException"


def test_the_api_defaults_to_config_map(cloud: RehearsalCloud) -> None:
    """API_CreateAccessConfigRequest: without a mode the API makes a CONFIG_MAP cluster."""
    environment = make()
    assert (
        environment.cluster(accessConfig={})["accessConfig"]["authenticationMode"] == "CONFIG_MAP"
    )


def test_endpoint_update_is_one_at_a_time(slow_cloud: RehearsalCloud) -> None:
    """API_UpdateClusterConfig: UPDATING, DescribeUpdate, then ACTIVE; a second one waits."""
    environment, eks = make(), client("eks")
    environment.cluster()
    advance(slow_cloud, 561)
    desired = {"endpointPrivateAccess": True, "publicAccessCidrs": ["198.51.100.7/32"]}
    update = eks.update_cluster_config(name="zoo", resourcesVpcConfig=desired)["update"]
    assert (update["type"], update["status"]) == ("EndpointAccessUpdate", "InProgress")
    assert status() == "UPDATING"
    again = {"endpointPrivateAccess": False}
    code, text = message(eks.update_cluster_config, name="zoo", resourcesVpcConfig=again)
    assert code == "ResourceInUseException"
    assert update["id"] in text
    advance(slow_cloud, 61)
    asked = eks.describe_update(name="zoo", updateId=update["id"])["update"]
    assert asked["status"] == "Successful"
    found = eks.describe_cluster(name="zoo")["cluster"]
    assert found["status"] == "ACTIVE"
    assert found["resourcesVpcConfig"]["publicAccessCidrs"] == ["198.51.100.7/32"]
    same = message(eks.update_cluster_config, name="zoo", resourcesVpcConfig=desired)
    assert "already at the desired configuration" in same[1]
    assert eks.list_updates(name="zoo")["updateIds"] == [update["id"]]


def test_rejected_updates(cloud: RehearsalCloud) -> None:
    """cluster-endpoint and API_UpdateClusterConfig: bounds of a change."""
    environment, eks = make(), client("eks")
    environment.cluster()

    def change(**desired: Any) -> str:
        return refused(eks.update_cluster_config, name="zoo", **desired)

    many = [f"198.51.{number}.1/32" for number in range(41)]
    invalid = "InvalidParameterException"
    assert change(resourcesVpcConfig={"publicAccessCidrs": many}) == invalid
    assert change(resourcesVpcConfig={"publicAccessCidrs": ["10.0.0.0/8"]}) == invalid
    assert change(resourcesVpcConfig={"publicAccessCidrs": ["198.51.100.7/31.5"]}) == invalid
    none = {"endpointPublicAccess": False, "endpointPrivateAccess": False}
    assert change(resourcesVpcConfig=none) == invalid
    both = {"subnetIds": environment.subnets, "endpointPrivateAccess": True}
    assert change(resourcesVpcConfig=both) == invalid
    assert change(accessConfig={"authenticationMode": "CONFIG_MAP"}) == invalid
    assert change() == invalid


def test_logging_and_protection(cloud: RehearsalCloud) -> None:
    """API_Logging: every type is either on or off; API_DeleteCluster: protection holds."""
    environment, eks = make(), client("eks")
    environment.cluster()
    desired = {"clusterLogging": [{"types": ["audit"], "enabled": True}]}
    eks.update_cluster_config(name="zoo", logging=desired)
    shown = eks.describe_cluster(name="zoo")["cluster"]["logging"]["clusterLogging"]
    assert {tuple(item["types"]): item["enabled"] for item in shown} == {
        ("audit",): True,
        ("api", "authenticator", "controllerManager", "scheduler"): False,
    }
    assert refused(eks.update_cluster_config, name="zoo", logging=desired)
    eks.update_cluster_config(name="zoo", deletionProtection=True)
    assert refused(eks.delete_cluster, name="zoo") == "InvalidRequestException"
    eks.update_cluster_config(name="zoo", deletionProtection=False)
    eks.delete_cluster(name="zoo")
    assert eks.list_clusters()["clusters"] == []


def test_one_minor_version_at_a_time(cloud: RehearsalCloud) -> None:
    """API_UpdateClusterVersion: to the next minor version only."""
    environment, eks = make(), client("eks")
    environment.cluster(version="1.34")
    code = refused(eks.update_cluster_version, name="zoo", version="1.36")
    assert code == "InvalidParameterException"
    eks.update_cluster_version(name="zoo", version="1.35")
    assert eks.describe_cluster(name="zoo")["cluster"]["version"] == "1.35"


def test_tags(cloud: RehearsalCloud) -> None:
    """API_TagResource, API_UntagResource, API_ListTagsForResource."""
    environment, eks = make(), client("eks")
    arn = environment.cluster(tags={"a": "1"})["arn"]
    eks.tag_resource(resourceArn=arn, tags={"b": "2"})
    eks.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    assert refused(eks.list_tags_for_resource, resourceArn=arn + "x") == "ResourceNotFoundException"


def test_a_token_creates_one_cluster(cloud: RehearsalCloud) -> None:
    """API_CreateCluster, clientRequestToken: the same request again answers the same."""
    environment = make()
    first = environment.cluster(clientRequestToken="t")
    assert environment.cluster(clientRequestToken="t")["arn"] == first["arn"]
    assert refused(environment.cluster, clientRequestToken="t", version="1.34")
    assert client("eks").list_clusters()["clusters"] == ["zoo"]
