"""Every permission taken away from the second script: named, and its return mends the run."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_setup.preflight.iam_policy import CONFIGURE, CONFIGURE_ACTIONS, IMPLIED, READ_ACTIONS
from aws_setup.rehearsal.core.dispatch import CallLogEntry
from aws_setup.rehearsal.core.permissions import iam_action
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.rehearsal.core.types import Call
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(300)

SIMULATE = "iam:SimulatePrincipalPolicy"
NAMED = re.compile(r"\b(?:permission|may not(?: call)?) ((?:[a-z0-9]+:\w+(?:, )?)+)")

READS = {
    "ec2:DescribeInstanceTypes": "openwhisk release",
    "ec2:DescribeLaunchTemplates": "core-nodes template",
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
"""What configure asks before it can say what is missing, and a step that asks it."""

ADMIN = "arn:aws:iam::123456789012:user/ada"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        client("iam").create_user(UserName="ada")
        made.save(cluster_admins=[ADMIN])
        yield made


def deny(zoo: Lab, actions: Iterable[str]) -> None:
    """Take exactly these permissions away."""
    zoo.cloud.settings.deny[:] = [DeniedPermission(action=action) for action in actions]


def named(told: Any) -> set[str]:
    """Return the actions that a run's problems name, each with a mend."""
    assert all(one["what"] and one["hint"] for one in told["problems"]), told["problems"]
    text = " ".join(f"{one['what']} {one['why']}" for one in told["problems"])
    return {action for found in NAMED.findall(text) for action in re.findall(r"\w+:\w+", found)}


def called(calls: Iterable[CallLogEntry], *, reads: bool) -> set[str]:
    """Return the actions that were called, by IAM's names."""
    ours = [call for call in calls if call.reads is reads and "lambda-fs" in call.client]
    return {iam_action(Call(one.service, one.action, {}, one.region, "")) for one in ours}


def test_without_the_permissions_nothing_is_written_and_all_are_named_at_once(zoo: Lab) -> None:
    wanted = {action for actions in CONFIGURE_ACTIONS.values() for action in actions}
    deny(zoo, wanted)
    before = len(zoo.cloud.calls.writes())
    told = zoo.run("configure", code=2)
    assert named(told) == wanted
    assert "docs/permissions.md" in told["problems"][0]["hint"]
    assert len(zoo.cloud.calls.writes()) == before
    assert zoo.writes() == 0
    deny(zoo, ())
    zoo.run("configure")


def grant_as_named(zoo: Lab, verb: str, missing: set[str]) -> set[str]:
    """Run until it ends well, granting after each run what it names; return what was granted."""
    granted: set[str] = set()
    while True:
        deny(zoo, missing)
        told = zoo.run(verb, code=None)
        if told["result"] == "ok":
            return granted
        assert told["result"] in ("failed", "refused", "leftovers"), told
        found = named(told) & missing
        assert found, told["problems"]
        missing -= found
        granted |= found


def test_permissions_granted_as_they_are_named_end_in_the_same_state(zoo: Lab) -> None:
    """Where the simulator may not be asked, each run stops at the next one that is missing."""
    direct = {*CONFIGURE} - IMPLIED.keys()
    granted = grant_as_named(zoo, "configure", set(direct))
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
    # What a fresh cluster does not need stays denied: changes, repairs and deletions.
    # One certificate is deleted: the second, which names the load balancer, replaces it.
    removing = {action for action in granted if "Delete" in action or "Detach" in action}
    assert removing == {"iam:DeleteServerCertificate"}
    gone = grant_as_named(zoo, "destroy", direct - granted)
    assert {action for action in gone if "Delete" not in action} == {"iam:DetachRolePolicy"}
    deny(zoo, ())
    assert zoo.run("destroy")["leftovers"] == []
    assert client("eks").list_nodegroups(clusterName="zoo")["nodegroups"] == []


def test_a_question_that_is_denied_never_reads_as_absent(zoo: Lab) -> None:
    zoo.run("configure")
    for action, step in READS.items():
        deny(zoo, [action])
        before = len(zoo.cloud.calls.writes()), zoo.writes()
        told = zoo.run("configure", "--only", step, code=None)
        assert told["result"] in ("failed", "refused"), (action, told)
        assert action in named(told)
        assert (len(zoo.cloud.calls.writes()), zoo.writes()) == before, action
    deny(zoo, ())
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}


def test_the_policy_of_the_second_script_is_what_its_runs_call(
    zoo: Lab, cloud: RehearsalCloud
) -> None:
    """Fresh, changed in every way that is changed in place, repaired, renewed, and removed."""
    zoo.run("configure")
    spoil(zoo)
    zoo.run("configure")
    zoo.run("status")
    zoo.run("destroy")
    writes = called(cloud.calls, reads=False)
    assert sorted(writes) == sorted({*CONFIGURE} - IMPLIED.keys())
    reads = called(cloud.calls, reads=True)
    assert not [one for one in reads if not any(fnmatch.fnmatchcase(one, p) for p in READ_ACTIONS)]
    assert reads.issuperset(READS)
    for implied in set(IMPLIED) & {*CONFIGURE}:
        assert writes & {*IMPLIED[implied]}, implied


def spoil(zoo: Lab) -> None:
    """Change by hand and by configuration whatever configure puts right."""
    iam, eks = client("iam"), client("eks")
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    arn = provider["Arn"]
    iam.remove_client_id_from_open_id_connect_provider(
        OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com"
    )
    inline = {"RoleName": "zoo-ebs-csi", "PolicyName": "theirs"}
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(**inline, PolicyDocument=document)
    eks.update_addon(
        clusterName="zoo",
        addonName="aws-ebs-csi-driver",
        serviceAccountRoleArn=iam.get_role(RoleName="lambda-fs-eks-node-role")["Role"]["Arn"],
    )
    zoo.save(num_openwhisk_core_vms=2, eks_node_disk_size=60)


def test_somebody_whom_the_cluster_does_not_let_in_is_told_so(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user than the cluster's maker, who may not give himself access either."""
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        client("iam").create_user(UserName="bob")
        cloud.settings.principal = "arn:aws:iam::123456789012:user/bob"
        deny(zoo, ["eks:CreateAccessEntry", SIMULATE])
        told = zoo.run("configure", code=1)
        assert "eks:CreateAccessEntry" in named(told)
        assert told["problems"][0]["what"].startswith("cluster access")
        status = zoo.run("status", code=1)
        whys = {one["why"]: one["hint"] for one in status["problems"]}
        (why,) = [why for why in whys if "Kubernetes objects" in why]
        assert "your IAM principal has no access" in why
        assert "cluster_admins" in whys[why]
        deny(zoo, ())
        zoo.run("configure")
        entries = client("eks").list_access_entries(clusterName="zoo")["accessEntries"]
        assert cloud.settings.principal in entries
