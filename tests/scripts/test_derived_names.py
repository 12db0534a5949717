"""Names that are made of the cluster's: each fits its service and is of one deployment alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.infrastructure.service_account_role import EBS_CSI_ROLE
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from create_aws_infrastructure import SCRIPT
from tests.pause.deployment import NODE_SCRIPT, SMALL, act
from tests.support.aws import client
from tests.support.scripts import prepare, run

LONG = "l" * 98


def make_role(name: str, **tags: str) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "x"}, "Action": "sts:AssumeRole"}
    client("iam").create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        Tags=[{"Key": f"lambda-fs:{key}", "Value": value} for key, value in tags.items()],
    )


@pytest.mark.parametrize(
    ("tags", "fix"),
    [
        ({"deployment": "first", "region": "eu-west-1"}, "choose another eks_cluster_name"),
        (
            {},
            "if it is this deployment's, run `aws iam tag-role --role-name "
            "lambda-fs-eks-cluster-ebs-csi --tags Key=lambda-fs:deployment,Value=second`; else "
            "choose another eks_cluster_name, or delete the role lambda-fs-eks-cluster-ebs-csi if "
            "nothing uses it",
        ),
    ],
)
def test_a_cluster_name_whose_role_is_of_another_deployment_is_refused_before_a_write(
    cloud: RehearsalCloud, tmp_path: Path, tags: dict[str, str], fix: str
) -> None:
    """EKS has a name once in a region, IAM once in an account."""
    make_role("lambda-fs-eks-cluster-ebs-csi", **tags)
    folder = prepare(tmp_path, deployment_name="second", eks_iam_role_name="second-role")
    writes = len(cloud.calls.writes())
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2, ended.document["problems"]
    (problem,) = ended.document["problems"]
    assert "lambda-fs-eks-cluster-ebs-csi" in problem["what"]
    assert problem["hint"] == fix
    assert len(cloud.calls.writes()) == writes


def test_names_of_long_clusters_differ_and_fit(cloud: RehearsalCloud, tmp_path: Path) -> None:
    """Also the launch templates of nodes, which have the deployment's name as well."""
    other = EBS_CSI_ROLE.names_for(
        Config(eks_cluster_name=LONG + "-b", ssh_keypair_name="k", ssh_key_path="k")
    )[0]
    names = {"deployment_name": "d" * 32, "eks_cluster_name": LONG + "-a"}
    folder = prepare(tmp_path, **SMALL, **names, eks_iam_role_name="own")
    steps = ("core-nodes", "ebs csi role")
    words = ("configure", *(word for name in steps for word in ("--only", name)))
    with EksApiServers(cloud):
        act(folder, "create")
        ended = run(NODE_SCRIPT, folder, *words, "--yes", "--json")
        assert ended.exit_code == 0, ended.document["problems"]
        templates = client("ec2").describe_launch_templates()["LaunchTemplates"]
        roles = [role["RoleName"] for role in client("iam").list_roles()["Roles"]]
        again = run(NODE_SCRIPT, folder, *words, "--yes", "--json").document["steps"]
        assert {row["action"] for row in again} == {"exists"}
    names_of_nodes = [it["LaunchTemplateName"] for it in templates]
    (made,) = [name for name in names_of_nodes if name.endswith("-core-nodes")]
    assert len(made) == 128
    (role,) = [name for name in roles if name.startswith("lll")]
    assert role.endswith("-ebs-csi")
    assert role != other
    assert len(role) == len(other) == 64


def test_an_existing_role_of_a_long_cluster_keeps_its_cut_name(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    make_role("l" * 64, deployment="lambda-fs", step="ebs csi role", region="us-east-1")
    folder = prepare(tmp_path, **SMALL, eks_cluster_name=LONG)
    act(folder, "create")
    words = ("configure", "--only", "ebs csi role", "--yes", "--json")
    ended = run(NODE_SCRIPT, folder, *words)
    assert ended.exit_code == 0, ended.document["problems"]
    (row,) = [row for row in ended.document["steps"] if row["name"] == "ebs csi role"]
    assert row["action"] == "update"
    assert row["id"].endswith("/" + "l" * 64)
