"""Other people's resources in the emulated world.

They have the names, Name tags, address ranges, security groups and labels of our deployment, in
the same account, cluster and OpenWhisk namespace, wherever AWS, Kubernetes and OpenWhisk let two
things have one name; elsewhere they have similar names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from aws_setup.rehearsal.environment import Environment
from tests.trust import story
from tests.trust.aws_state import all_allowed
from tests.trust.client import aws_client
from tests.trust.world import World

NEIGHBOUR = {
    "deployment_name": "lambda-fs-2",
    "eks_cluster_name": "lambda-fs-eks-cluster-2",
    "eks_iam_role_name": "lambda-fs-eks-cluster-role-2",
}
"""What another deployment must call differently; all else is as ours."""


def plant_in_account(world: World) -> None:
    """Make another deployment, take our tags from its network, and add single resources."""
    config = world.folder / "config_aws.yaml"
    ours = config.read_text(encoding="utf-8")
    config.write_text(ours + "".join(f"{key}: {value}\n" for key, value in NEIGHBOUR.items()))
    try:
        with all_allowed(world.environment.cloud):
            story.advance(world, story.PHASES["create"])
            _strip(world.environment)
            _single(world.environment)
    finally:
        config.write_text(ours, encoding="utf-8")


def _strip(environment: Environment) -> None:
    """Take the tags of lambda-fs from the network: what is left are equal Name tags."""
    ec2 = aws_client(environment.cloud, "ec2")
    prefixes = ("vpc-", "subnet-", "igw-", "rtb-", "sg-", "nat-", "eipalloc-")
    tags = ec2.describe_tags()["Tags"]
    for tag in tags:
        if tag["Key"].startswith("lambda-fs:") and tag["ResourceId"].startswith(prefixes):
            ec2.delete_tags(Resources=[tag["ResourceId"]], Tags=[{"Key": tag["Key"]}])


def _tags(kind: str, **tags: str) -> dict[str, Any]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": pairs}]}


def _single(environment: Environment) -> None:
    """Make single resources whose names and tags are like ours."""
    ec2, iam = aws_client(environment.cloud, "ec2"), aws_client(environment.cloud, "iam")
    for tags in (
        {"Name": "ndb-manager-node", "Project": "LambdaFS"},
        {"Lambda-FS:deployment": "lambda-fs"},
        {"lambda-fs:deployment": "lambda-fs-22", "lambda-fs:step": "ndb manager"},
        {"kubernetes.io/cluster/lambda-fs-eks-cluster-2": "owned", "KubernetesCluster": "x"},
    ):
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, **_tags("volume", **tags))
    _of_an_earlier_cluster(environment)
    ec2.create_key_pair(KeyName="rehearsal-old")
    template = {"InstanceType": "t3.micro", "ImageId": "ami-01d2cba66e4fe4e1e"}
    ec2.create_launch_template(LaunchTemplateName="hopsfs_clients-old", LaunchTemplateData=template)
    trust = {"Version": "2012-10-17", "Statement": []}
    for name in ("lambda-fs-eks-node-role-old", "lambda-fs-deadline-old", "lambda-fs"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    ssm = aws_client(environment.cloud, "ssm")
    for name in (
        "lambda-fs/password",
        "lambda-fs/lock/note",
        "lambda-fs/lock-2",
        "lambda-fs-3/lock/1",
    ):
        ssm.put_parameter(
            Name=f"/lambda-fs/lambda-{name}", Value='{"state": "free"}', Type="String"
        )


def _of_an_earlier_cluster(environment: Environment) -> None:
    """Make what a cluster of the name of ours left, which somebody had in another VPC before."""
    cloud, ec2 = environment.cloud, aws_client(environment.cloud, "ec2")
    owned = {"kubernetes.io/cluster/lambda-fs-eks-cluster": "owned"}
    claim = {"kubernetes.io/created-for/pvc/name": "owdev-couchdb-pvc", **owned}
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, **_tags("volume", **claim))
    cloud.backend("ec2", "us-east-1").volumes[volume["VolumeId"]].create_time -= timedelta(days=1)
    vpc = ec2.describe_vpcs()["Vpcs"][-1]["VpcId"]
    for name in ("k8s-elb-a0123456789", "eks-cluster-sg-lambda-fs-eks-cluster-77"):
        ec2.create_security_group(
            GroupName=name, Description=name, VpcId=vpc, **_tags("security-group", **owned)
        )


def plant_in_cluster(world: World) -> None:
    """Add objects of other people to our cluster, some with the names of our release."""
    [api] = [api for name, api in world.environment.hooks.apis.items() if not name.endswith("-2")]
    put, space = api.state.put, "openwhisk-2"
    put("namespaces", {"metadata": {"name": space, "labels": {"app": "owdev"}}})
    release = {"owner": "helm", "name": "owdev", "status": "deployed", "version": "1"}
    for namespace, name in ((space, "owdev"), ("default", "theirs")):
        metadata = {
            "name": f"sh.helm.release.v1.{name}.v1",
            "namespace": namespace,
            "labels": {**release, "name": name},
        }
        put("secrets", {"metadata": metadata, "type": "helm.sh/release.v1", "data": {}})
    named = {"name": "owdev-nginx", "namespace": space, "labels": {"release": "owdev"}}
    for plural in ("configmaps", "secrets"):
        put(plural, {"metadata": named, "data": {}})
    put("serviceaccounts", {"metadata": {**named, "name": "ebs-csi-controller-sa"}})
    gp2 = {"metadata": {"name": "gp3-theirs"}, "provisioner": "ebs.csi.aws.com"}
    put("storageclasses", gp2)
    put("clusterroles", {"metadata": {"name": "owdev-theirs"}, "rules": []})


def plant_in_openwhisk(world: World) -> None:
    """Add actions, a trigger and a package of other people, and what they run beside OpenWhisk."""
    store = world.environment.openwhisk.whisk.store
    for name in ("namenode", "namenode00", "namenode-1", "namenode2x", "mynamenode0", "NameNode0"):
        store.actions[name] = {**store.actions["namenode0"], "name": name, "version": "0.0.7"}
        store.code[name] = "theirs"
    [api] = [api for name, api in world.environment.hooks.apis.items() if not name.endswith("-2")]
    theirs = {"name": "theirs", "namespace": "openwhisk", "labels": {"app": "owdev"}}
    api.state.put("services", {"metadata": theirs, "spec": {"selector": {"app": "owdev"}}})
    store.others.update({"triggers": ["namenode0-timer"], "packages": ["namenode-tools"]})


PLANTS: Mapping[str, Callable[[World], None]] = {
    "create": plant_in_cluster,
    "register": plant_in_openwhisk,
}
"""Command -> what other people do after it."""


def plant_in_other_account(environment: Environment, key: str) -> None:
    """Make resources with the names of ours, and without our tags, in the account of a key."""
    ec2, iam = (
        aws_client(environment.cloud, "ec2", key=key),
        aws_client(environment.cloud, "iam", key=key),
    )
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", **_tags("vpc", Name="lambda-fs-vpc"))["Vpc"]
    for name in ("lambda-fs-security-group", "serverless-hopsfs-sg"):
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc["VpcId"])
    ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=1, **_tags("volume", Name="ndb-manager-node")
    )
    trust = {"Version": "2012-10-17", "Statement": []}
    for role in list(environment.cloud.backend("iam").roles.values()):
        if role.name.startswith("lambda-fs"):
            iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=json.dumps(trust))
