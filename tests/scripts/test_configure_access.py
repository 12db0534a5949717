"""Access to the cluster: administrators, sessions, aws-auth; and the storage probe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.eks.storage import PROBE, PROVEN
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from tests.scripts.test_configure import steps_of
from tests.support import eks
from tests.support.aws import client
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(120)

ACCOUNT = "arn:aws:iam::123456789012"
ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
TEAM = f"{ACCOUNT}:role/team"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        client("iam").create_user(UserName="ada")
        eks.role("team", "ec2.amazonaws.com")
        yield made


def entries() -> dict[str, list[str]]:
    """Return the access entries of people, each with its policies."""
    api = client("eks")
    found = {}
    for arn in api.list_access_entries(clusterName="zoo")["accessEntries"]:
        entry = api.describe_access_entry(clusterName="zoo", principalArn=arn)["accessEntry"]
        if entry["type"] == "STANDARD":
            listed = api.list_associated_access_policies(clusterName="zoo", principalArn=arn)
            found[arn] = [item["policyArn"] for item in listed["associatedAccessPolicies"]]
    return found


def auth(zoo: Lab) -> Any:
    data = zoo.api.state.require("configmaps", "aws-auth", "kube-system")["data"]
    return {key: yaml.safe_load(text) for key, text in data.items()}


def test_administrators_get_an_access_entry_and_an_entry_in_aws_auth_until_destroy(
    zoo: Lab,
) -> None:
    zoo.save(cluster_admins=[f"{ACCOUNT}:user/ada", TEAM])
    before = entries()
    zoo.run("configure", "--only", "aws-auth")
    made = entries()
    assert made.keys() - before.keys() == {f"{ACCOUNT}:user/ada", TEAM}
    assert set(map(tuple, made.values())) == {(ADMIN,)}
    assert masters(zoo) == {f"{ACCOUNT}:user/ada", TEAM, zoo.cloud.settings.principal}
    steps = zoo.run("configure", "--only", "aws-auth")["steps"]
    assert {step["action"] for step in steps} == {"exists"}
    zoo.run("destroy")
    assert entries() == before


def masters(zoo: Lab) -> set[str]:
    """Return the ARNs of the administrators in aws-auth."""
    return {
        row.get("userarn") or row["rolearn"]
        for rows in auth(zoo).values()
        for row in rows
        if "system:masters" in row["groups"]
    }


def test_an_administrator_that_is_named_no_more_loses_access_and_no_other_does(zoo: Lab) -> None:
    ada, api, by_hand = f"{ACCOUNT}:user/ada", client("eks"), f"{ACCOUNT}:user/grace"
    client("iam").create_user(UserName="grace")
    api.create_access_entry(clusterName="zoo", principalArn=by_hand)
    scope = {"type": "cluster"}
    api.associate_access_policy(
        clusterName="zoo", principalArn=by_hand, policyArn=ADMIN, accessScope=scope
    )
    creator = zoo.cloud.settings.principal
    zoo.save(cluster_admins=[ada, by_hand])
    zoo.run("configure", "--only", "aws-auth")
    zoo.cloud.settings.principal = "arn:aws:sts::123456789012:assumed-role/team/bob@lab"
    zoo.run("configure", "--only", "aws-auth")
    zoo.cloud.settings.principal = creator
    assert entries().keys() == {creator, ada, by_hand, TEAM}
    zoo.save(cluster_admins=[])
    rows = steps_of(zoo.run("plan", "--only", "aws-auth"))
    assert {rows[name]["action"] for name in ("cluster access", "aws-auth")} == {"update"}
    assert all(f"access of {ada}" in str(rows[name]) for name in ("cluster access", "aws-auth"))
    assert by_hand not in str(rows["cluster access"])
    zoo.run("configure", "--only", "aws-auth")
    assert entries().keys() == {creator, by_hand, TEAM}, "and so do those that were not ours"
    assert not {ada, by_hand} & masters(zoo), "both were added there by configure"
    assert {creator, TEAM} <= masters(zoo)
    (copy,) = zoo.folder.glob("**/*.access-entry-ada.before.yaml")
    assert ADMIN in copy.read_text()
    again = zoo.run("configure", "--only", "aws-auth")
    assert {step["action"] for step in again["steps"]} == {"exists"}
    assert again["warnings"] == []


def test_an_entry_of_an_earlier_version_is_named_with_the_command_that_deletes_it(
    zoo: Lab,
) -> None:
    ada, api = f"{ACCOUNT}:user/ada", client("eks")
    zoo.save(cluster_admins=[ada])
    zoo.run("configure", "--only", "cluster access")
    entry = api.describe_access_entry(clusterName="zoo", principalArn=ada)["accessEntry"]
    api.untag_resource(resourceArn=entry["accessEntryArn"], tagKeys=["lambda-fs:administrator"])
    zoo.save(cluster_admins=[])
    (warning,) = zoo.run("configure", "--only", "cluster access")["warnings"]
    assert ada in warning["what"]
    assert f"delete-access-entry --cluster-name zoo --principal-arn {ada}" in warning["hint"]
    assert ada in entries()
    zoo.save(cluster_admins=[ada])
    zoo.run("configure", "--only", "cluster access")
    zoo.save(cluster_admins=[])
    zoo.run("configure", "--only", "cluster access")
    assert ada not in entries()


def test_a_session_of_a_role_gets_access_as_its_role(zoo: Lab) -> None:
    zoo.cloud.settings.principal = "arn:aws:sts::123456789012:assumed-role/team/ada@lab"
    zoo.run("configure", "--only", "gp3 storage class")
    assert entries()[TEAM] == [ADMIN]
    assert not any("assumed-role" in arn for arn in entries())
    assert zoo.api.state.get("storageclasses", "gp3") is not None


@pytest.mark.kind("B2")
def test_a_session_of_a_role_with_a_path_gets_access_by_the_whole_arn(zoo: Lab) -> None:
    whole = f"{ACCOUNT}:role/research/dev/analyst"
    client("iam").create_role(
        Path="/research/dev/", RoleName="analyst", AssumeRolePolicyDocument="{}"
    )
    zoo.cloud.settings.principal = "arn:aws:sts::123456789012:assumed-role/analyst/ada@lab"
    zoo.cloud.settings.deny.append(DeniedPermission(action="iam:GetRole"))
    result = zoo.run("configure", "--only", "cluster access", code=None)
    problem = next(one for one in result["problems"] if "whole ARN" in one["what"])
    assert "cluster_admins" in problem["hint"]
    zoo.save(cluster_admins=[whole])
    zoo.run("configure", "--only", "cluster access")
    assert entries()[whole] == [ADMIN]
    zoo.cloud.settings.deny.clear()
    zoo.save(cluster_admins=None)
    zoo.run("configure", "--only", "gp3 storage class")
    assert not any("role/analyst" in arn for arn in entries())


ROOT = "arn:aws:iam::123456789012:root"


@pytest.mark.kind("B2")
def test_the_root_user_that_created_the_cluster_configures_it_without_an_entry_of_its_own(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.settings.principal = ROOT
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as zoo:
        eks.role("team", "ec2.amazonaws.com")
        assert entries() == {ROOT: [ADMIN]}, "EKS's own, of the creator"
        zoo.run("configure", "--only", "gp3 storage class", "--only", "aws-auth")
        assert zoo.api.state.get("storageclasses", "gp3") is not None
        assert entries()[ROOT] == [ADMIN]
        steps = zoo.run("configure", "--only", "cluster access")["steps"]
        assert {step["action"] for step in steps} == {"exists"}
        zoo.save(cluster_admins=[TEAM])
        zoo.run("configure", "--only", "cluster access")
        assert entries()[TEAM] == [ADMIN]


@pytest.mark.kind("B2")
@pytest.mark.parametrize("arn", [ROOT, "arn:aws:sts::123456789012:federated-user/ada"])
def test_a_caller_without_an_entry_is_told_at_once_who_has_access(zoo: Lab, arn: str) -> None:
    zoo.save(cluster_admins=[TEAM])
    zoo.cloud.settings.principal = arn
    began = zoo.cloud.clock.now()
    result = zoo.run("configure", "--only", "cluster access", code=None)
    problem = next(one for one in result["problems"] if "does not accept" in one["what"])
    assert arn in problem["what"]
    assert "use the credentials that created the cluster" in problem["hint"]
    assert zoo.cloud.clock.now() - began < 60
    assert arn not in entries()
    zoo.cloud.settings.principal = "arn:aws:sts::123456789012:assumed-role/team/ada@lab"
    zoo.run("configure", "--only", "gp3 storage class")


def made_again(name: str) -> None:
    """Delete a role and create one of the same name, as somebody does by hand."""
    iam = client("iam")
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    tags = iam.list_role_tags(RoleName=name)["Tags"]
    iam.delete_role(RoleName=name)
    eks.role(name, "ec2.amazonaws.com")
    iam.tag_role(RoleName=name, Tags=tags)


def test_an_access_entry_older_than_its_role_is_created_again_as_it_was(zoo: Lab) -> None:
    zoo.save(cluster_admins=[TEAM])
    zoo.run("configure", "--only", "aws-auth")
    api = client("eks")
    api.update_access_entry(clusterName="zoo", principalArn=TEAM, kubernetesGroups=["viewers"])
    view = ADMIN.replace("ClusterAdmin", "View")
    scope = {"type": "namespace", "namespaces": ["dev"]}
    api.associate_access_policy(
        clusterName="zoo", principalArn=TEAM, policyArn=view, accessScope=scope
    )
    made_again("team")
    made_again("lambda-fs-eks-node-role")
    zoo.cloud.settings.principal = "arn:aws:sts::123456789012:assumed-role/team/ada@lab"
    rows = steps_of(zoo.run("plan", code=None))
    assert rows["cluster access"]["action"] == rows["node role"]["action"] == "update"
    plan = zoo.run("plan", code=None)
    assert "access entry of" in str(plan)
    zoo.run("configure", "--only", "gp3 storage class", "--only", "node role")
    entry = api.describe_access_entry(clusterName="zoo", principalArn=TEAM)["accessEntry"]
    assert entry["kubernetesGroups"] == ["viewers"]
    assert entry["tags"]["lambda-fs:deployment"] == "lambda-fs"
    assert entries()[TEAM] == [ADMIN, view]
    (copy,) = zoo.folder.glob("**/*.access-entry-team.before.yaml")
    assert "viewers" in copy.read_text()
    assert zoo.api.state.get("storageclasses", "gp3") is not None
    rows = steps_of(zoo.run("plan"))
    assert rows["cluster access"]["action"] == rows["node role"]["action"] == "exists"


def test_the_error_names_an_administrator_that_does_not_exist(zoo: Lab) -> None:
    zoo.save(cluster_admins=[f"{ACCOUNT}:user/nobody"])
    (problem,) = zoo.run("configure", "--only", "cluster access", code=1)["problems"]
    assert "user/nobody" in problem["what"]
    assert "cluster_admins" in problem["hint"]
    zoo.save(cluster_admins=None)
    zoo.run("configure", "--only", "cluster access")


def test_aws_auth_that_does_not_parse_is_refused_and_not_modified(zoo: Lab) -> None:
    zoo.run("configure", "--only", "core-nodes")
    held = zoo.api.state.require("configmaps", "aws-auth", "kube-system")
    broken = {**held, "data": {"mapRoles": "- {unclosed", "mapUsers": "[]"}}
    zoo.api.state.put("configmaps", broken)
    result = zoo.run("configure", "--only", "aws-auth", code=1)
    (problem,) = result["problems"]
    assert "cannot parse mapRoles of aws-auth" in problem["what"]
    assert "manage_aws_auth: False" in problem["hint"]
    now = zoo.api.state.require("configmaps", "aws-auth", "kube-system")
    assert now["data"] == broken["data"]
    zoo.save(manage_aws_auth=False)
    zoo.run("configure")


def test_a_skipped_storage_probe_runs_later(zoo: Lab) -> None:
    result = steps_of(zoo.run("configure", "--skip-storage-probe"))
    assert "storage probe" not in result
    asked = [path for method, path, _ in zoo.api.requests if method != "GET" and PROBE in path]
    assert asked == []
    notes = zoo.api.state.require("storageclasses", "gp3")["metadata"]["annotations"]
    assert PROVEN not in notes
    done = steps_of(zoo.run("configure"))
    assert done["storage probe"]["action"] == "create"
    notes = zoo.api.state.require("storageclasses", "gp3")["metadata"]["annotations"]
    assert PROVEN in notes
    assert zoo.api.state.get("persistentvolumeclaims", PROBE, "default") is None
    assert zoo.api.state.get("pods", PROBE, "default") is None


def test_the_annotation_of_the_driver_is_corrected_and_the_driver_restarted(zoo: Lab) -> None:
    zoo.run("configure", "--only", "ebs csi service account")
    name, note = "ebs-csi-controller-sa", "eks.amazonaws.com/role-arn"
    held = zoo.api.state.require("serviceaccounts", name, "kube-system")
    role = held["metadata"]["annotations"][note]
    others = {**held["metadata"], "annotations": {note: f"{role}-old", "unowned": "stays"}}
    zoo.api.state.put("serviceaccounts", {**held, "metadata": others})
    before = drivers(zoo)
    result = steps_of(zoo.run("configure", "--only", "ebs csi service account"))
    assert result["ebs csi service account"]["action"] == "update"
    now = zoo.api.state.require("serviceaccounts", name, "kube-system")["metadata"]["annotations"]
    assert now == {note: role, "unowned": "stays"}
    assert drivers(zoo)
    assert not before & drivers(zoo)


def drivers(zoo: Lab) -> set[str]:
    """Return the ids of the controller's pods."""
    pods = zoo.api.state.all("pods", "kube-system")
    return {one["metadata"]["uid"] for one in pods if "csi-controller" in one["metadata"]["name"]}
