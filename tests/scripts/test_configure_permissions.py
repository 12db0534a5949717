"""configure_eks_cluster.py without one of its permissions: errors name it, granting it helps."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.preflight.iam_policy import (
    CONFIGURE,
    CONFIGURE_ACTIONS,
    DEADLINE_ROLE_ACTIONS,
    IMPLIED,
    READ_ACTIONS,
    RUN_LOCK,
    SCHEDULE_ACTIONS,
)
from aws_setup.rehearsal.core.dispatch import CallLogEntry
from aws_setup.rehearsal.core.permissions import iam_action
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.rehearsal.core.types import Call
from tests.support.aws import client, tagged
from tests.support.cluster import Lab, lab
from tests.support.managed_groups import revoke_all

pytestmark = pytest.mark.timeout(300)

SIMULATE = "iam:SimulatePrincipalPolicy"
NAMED = re.compile(r"\b(?:permission|may not(?: call)?) ((?:[a-z0-9]+:\w+(?:, )?)+)")

READS = {
    "ec2:DescribeInstanceTypes": "openwhisk release",
    "ec2:DescribeLaunchTemplates": "core-nodes template",
    "ec2:DescribeSecurityGroups": "node ingress",
    "eks:DescribeAddon": "vpc-cni add-on",
    "eks:DescribeCluster": "eks cluster",
    "eks:DescribeNodegroup": "core-nodes",
    "eks:ListAccessEntries": "cluster access",
    "iam:GetOpenIDConnectProvider": "oidc provider",
    "iam:GetRole": "node role",
    "iam:ListAttachedRolePolicies": "node role",
    "iam:ListOpenIDConnectProviders": "oidc provider",
    "iam:ListServerCertificates": "server certificate",
}
"""Read actions of configure, and a step that needs each."""

ADMIN = "arn:aws:iam::123456789012:user/ada"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        client("iam").create_user(UserName="ada")
        made.save(cluster_admins=[ADMIN])
        create_vm_group()
        yield made


def create_vm_group() -> None:
    """Create the security group of the VMs, as the first script does, in the cluster's VPC."""
    ec2 = client("ec2")
    cluster = client("eks").describe_cluster(name="zoo")["cluster"]
    step = {"lambda-fs:deployment": "lambda-fs", "lambda-fs:step": "security group"}
    ec2.create_security_group(
        GroupName="lambda-fs-security-group",
        Description="LambdaFS and HopsFS machines",
        VpcId=cluster["resourcesVpcConfig"]["vpcId"],
        TagSpecifications=tagged("security-group", **step),
    )


def deny(zoo: Lab, actions: Iterable[str]) -> None:
    """Deny exactly these permissions."""
    zoo.cloud.settings.deny[:] = [DeniedPermission(action=action) for action in actions]


def named(result: Any) -> set[str]:
    """Return the actions that the problems of a run name; each problem has a hint."""
    assert all(one["what"] and one["hint"] for one in result["problems"]), result["problems"]
    text = " ".join(f"{one['what']} {one['why']}" for one in result["problems"])
    return {action for found in NAMED.findall(text) for action in re.findall(r"\w+:\w+", found)}


def called(calls: Iterable[CallLogEntry], *, reads: bool) -> set[str]:
    """Return the actions that were called, by IAM's names."""
    sent = [call for call in calls if call.reads is reads and "lambda-fs" in call.client]
    return {iam_action(Call(one.service, one.action, {}, one.region, "")) for one in sent}


def changes(zoo: Lab) -> tuple[int, int]:
    """Return how many writes of AWS and of Kubernetes there were, without the run lock's own."""
    return sum(call.service != "ssm" for call in zoo.cloud.calls.writes()), zoo.writes()


def test_without_the_permissions_nothing_is_written_and_one_run_names_all(zoo: Lab) -> None:
    denied = {action for actions in CONFIGURE_ACTIONS.values() for action in actions}
    deny(zoo, denied)
    before = len(zoo.cloud.calls.writes())
    result = zoo.run("configure", code=2)
    assert named(result) == denied
    assert "docs/permissions.md" in result["problems"][0]["hint"]
    assert len(zoo.cloud.calls.writes()) == before
    assert zoo.writes() == 0
    deny(zoo, ())
    zoo.run("configure")


def grant_as_named(zoo: Lab, verb: str, missing: set[str]) -> set[str]:
    """Run until it succeeds, granting after each run what it names; return what was granted."""
    granted: set[str] = set()
    while True:
        deny(zoo, missing)
        result = zoo.run(verb, code=None)
        if result["result"] == "ok":
            return granted
        assert result["result"] in ("failed", "refused", "leftovers"), result
        found = named(result) & missing
        assert found, result["problems"]
        missing -= found
        granted |= found


def test_permissions_granted_as_they_are_named_end_in_the_same_state(zoo: Lab) -> None:
    """Without iam:SimulatePrincipalPolicy each run fails at the next missing permission."""
    direct = {*CONFIGURE} - IMPLIED.keys()
    granted = grant_as_named(zoo, "configure", set(direct))
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    # What a fresh cluster does not need stays denied: changes, repairs and deletions.
    # A certificate that a renewal replaces is deleted, so the checks ask for that at once.
    removing = {action for action in granted if "Delete" in action or "Detach" in action}
    assert removing == {"iam:DeleteServerCertificate"}
    for_destroy = grant_as_named(zoo, "destroy", direct - granted)
    assert {action for action in for_destroy if "Delete" not in action} == {
        "ec2:RevokeSecurityGroupIngress",
        "iam:DetachRolePolicy",
    }
    deny(zoo, ())
    assert zoo.run("destroy")["leftovers"] == []
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []


def test_a_denied_read_is_never_taken_for_a_missing_resource(zoo: Lab) -> None:
    zoo.run("configure")
    for action, step in READS.items():
        deny(zoo, [action])
        before = changes(zoo)
        result = zoo.run("configure", "--only", step, code=None)
        assert result["result"] in ("failed", "refused"), (action, result)
        assert action in named(result)
        assert changes(zoo) == before, action
    deny(zoo, ())
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_the_policy_contains_exactly_the_actions_that_the_script_calls(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    """Create, update in place, correct drift, renew, and destroy."""
    zoo.run("configure")
    spoil(zoo)
    zoo.run("configure")
    zoo.run("status")
    zoo.run("destroy")
    writes = called(cloud.calls, reads=False)
    of_lock = {action for action in RUN_LOCK if action in writes}
    assert of_lock == {"ssm:DeleteParameters", "ssm:PutParameter"}
    needed = {*CONFIGURE} - IMPLIED.keys()
    optional = {*DEADLINE_ROLE_ACTIONS, *SCHEDULE_ACTIONS, "eks:TagResource"} - needed
    assert sorted(writes - of_lock - optional) == sorted(needed)
    assert "scheduler:CreateSchedule" in writes, "the deadline, which a run can do without"
    reads = called(cloud.calls, reads=True)
    allowed = (*READ_ACTIONS, *RUN_LOCK)
    assert not [one for one in reads if not any(fnmatch.fnmatchcase(one, p) for p in allowed)]
    assert reads.issuperset(READS)
    for implied in set(IMPLIED) & {*CONFIGURE}:
        assert writes & {*IMPLIED[implied]}, implied


def spoil(zoo: Lab) -> None:
    """Cause every kind of drift that configure corrects, in AWS and in the configuration."""
    iam, eks = client("iam"), client("eks")
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    arn = provider["Arn"]
    iam.remove_client_id_from_open_id_connect_provider(
        OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com"
    )
    inline = {"RoleName": "zoo-ebs-csi", "PolicyName": "unowned"}
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(**inline, PolicyDocument=document)
    eks.update_addon(
        clusterName="zoo",
        addonName="aws-ebs-csi-driver",
        serviceAccountRoleArn=iam.get_role(RoleName="lambda-fs-eks-node-role")["Role"]["Arn"],
    )
    revoke_all()
    zoo.save(num_openwhisk_core_vms=2, eks_node_disk_size=60)


def test_a_principal_without_access_to_the_cluster_gets_the_reason_and_the_fix(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller did not create the cluster, and may not create an access entry."""
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        client("iam").create_user(UserName="bob")
        cloud.settings.principal = "arn:aws:iam::123456789012:user/bob"
        deny(zoo, ["eks:CreateAccessEntry", SIMULATE])
        result = zoo.run("configure", code=1)
        assert "eks:CreateAccessEntry" in named(result)
        assert result["problems"][0]["what"].startswith("cluster access")
        addons = [
            one.get("end", "exists") for one in result["steps"] if one["name"].endswith("add-on")
        ]
        assert set(addons) <= {"not started", "exists"}, "none waits minutes for the access"
        status = zoo.run("status", code=1)
        whys = {one["why"]: one["hint"] for one in status["problems"]}
        (why,) = [why for why in whys if "Kubernetes objects" in why]
        assert "your IAM principal has no access" in why
        assert "cluster_admins" in whys[why]
        deny(zoo, ())
        zoo.run("configure")
        entries = client("eks").list_access_entries(clusterName="zoo")["accessEntries"]
        assert cloud.settings.principal in entries
