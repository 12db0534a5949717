"""Other deployments than the one of the sample: adopted VPCs, two at once, another region."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aws_setup.engine.processes import this_process
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission, Image
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.clock import CallClock, advance_by_calls
from tests.support.scripts import prepare, run, write_config
from tests.support.users_vpc import users_vpc


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def of_deployment(cloud: RehearsalCloud, name: str) -> Counter[tuple[str, str]]:
    """Return how many resources of each kind and step carry a deployment's tag."""
    return Counter(
        (resource.kind, resource.tags.get("lambda-fs:step", ""))
        for resource in cloud.snapshot()
        if resource.tags.get("lambda-fs:deployment") == name
    )


def ids(cloud: RehearsalCloud) -> set[tuple[str, str]]:
    """Return kind and id of everything that exists."""
    return {(resource.kind, resource.id) for resource in cloud.snapshot()}


@pytest.mark.kind("A7")
@pytest.mark.parametrize("by", ["vpc_id", "vpc_name"])
def test_an_adopted_vpc_is_used_and_never_deleted(
    cloud: RehearsalCloud, folder: Path, by: str
) -> None:
    vpc = users_vpc()
    before = ids(cloud)
    write_config(folder, create_vpc=False, **{by: vpc if by == "vpc_id" else "mine"})
    made = run(SCRIPT, folder, "--yes", "--json")
    assert made.exit_code == 0, made.document["problems"]
    machines = client("ec2").describe_instances()["Reservations"]
    assert {machine["Instances"][0]["VpcId"] for machine in machines} == {vpc}
    again = run(SCRIPT, folder, "--yes", "--json")
    assert {step["action"] for step in again.document["steps"]} == {"exists"}
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code == 0, gone.document["problems"]
    assert ids(cloud) == before


def test_an_existing_security_group_of_an_adopted_vpc_is_used_and_never_deleted(
    cloud: RehearsalCloud, folder: Path
) -> None:
    vpc = users_vpc()
    group = client("ec2").create_security_group(
        GroupName="lambda-fs-security-group", Description="existing", VpcId=vpc
    )["GroupId"]
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[inside, ssh])
    before = ids(cloud)
    write_config(folder, create_vpc=False, vpc_id=vpc)
    only = ("--only", "security group")
    shown = run(SCRIPT, folder, "plan", "--json", *only).document["steps"]
    assert {step["name"]: step["id"] for step in shown}["security group"] == group
    assert run(SCRIPT, folder, "--yes", *only).exit_code == 0
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert ids(cloud) == before


def test_a_name_with_a_wildcard_is_that_name_alone(cloud: RehearsalCloud, folder: Path) -> None:
    """In a filter of EC2 `*` and `?` match other names as well."""
    vpc = users_vpc()
    groups = [
        client("ec2").create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"]
        for name in ("nodes-1", "nodes-*")
    ]
    only = ("--only", "security group")
    write_config(folder, create_vpc=False, vpc_name="mi*", security_group_name="nodes-*")
    refused = run(SCRIPT, folder, "plan", "--json", *only)
    assert "mi*" in str(refused.document["problems"])
    assert "mine" not in str(refused.document["problems"])
    named = users_vpc("mi*")
    shown = run(SCRIPT, folder, "plan", "--json", "--only", "vpc").document
    assert [step["id"] for step in shown["steps"]] == [named], shown
    write_config(folder, create_vpc=False, vpc_name="mine", security_group_name="nodes-*")
    shown = run(SCRIPT, folder, "plan", "--json", *only).document["steps"]
    assert {step["name"]: step["id"] for step in shown}["security group"] == groups[1]


def test_several_vpcs_of_one_name_are_listed_and_refused(
    cloud: RehearsalCloud, folder: Path
) -> None:
    both = {users_vpc(), users_vpc()}
    writes = len(cloud.calls.writes())
    write_config(folder, create_vpc=False, vpc_name="mine")
    ended = run(SCRIPT, folder, "--yes", "--json")
    assert ended.exit_code == 2, ended.stdout
    message = " ".join(problem["why"] for problem in ended.document["problems"])
    assert all(vpc in message for vpc in both)
    assert len(cloud.calls.writes()) == writes


def test_two_deployments_never_touch_each_other(cloud: RehearsalCloud, tmp_path: Path) -> None:
    first = prepare(tmp_path / "first")
    second = prepare(
        tmp_path / "second",
        deployment_name="second",
        eks_cluster_name="second-cluster",
        eks_iam_role_name="second-role",
    )
    assert run(SCRIPT, first, "--yes").exit_code == 0
    mine = of_deployment(cloud, "lambda-fs")
    made = run(SCRIPT, second, "--yes", "--json")
    assert made.exit_code == 0, made.document["problems"]
    assert of_deployment(cloud, "second").total() == mine.total()
    gone = run(SCRIPT, first, "destroy", "--yes", "--json")
    assert gone.exit_code == 0, gone.document["problems"]
    assert not of_deployment(cloud, "lambda-fs")
    assert of_deployment(cloud, "second").total() == mine.total()
    shown = run(SCRIPT, second, "plan", "--json")
    assert {step["action"] for step in shown.document["steps"]} == {"exists"}


ONE_VM = ("--only", "node ingress", "--only", "lambda-fs client")
NO_SERVERS = {"create_ndb_cluster": False, "create_zookeeper_vms": False}


def second_in(vpc: str, folder: Path, **settings: Any) -> Path:
    """Return the folder of a second deployment in a VPC, with the keys of docs/create.md."""
    names = {"eks_cluster_name": "second-cluster", "eks_iam_role_name": "second-role"}
    place = {"create_vpc": False, "vpc_id": vpc, **NO_SERVERS}
    return prepare(folder, deployment_name="second", **names, **place, **settings)


def groups_of_machines() -> dict[str, str]:
    """Return deployment -> name of the security group of its machines."""
    found = client("ec2").describe_instances()["Reservations"]
    listed = [item for reservation in found for item in reservation["Instances"]]
    machines = [item for item in listed if item["State"]["Name"] == "running"]
    tags = [{tag["Key"]: tag["Value"] for tag in item["Tags"]} for item in machines]
    groups = [item["SecurityGroups"][0]["GroupName"] for item in machines]
    return {tag["lambda-fs:deployment"]: name for tag, name in zip(tags, groups, strict=True)}


def test_a_second_deployment_in_a_vpc_has_a_security_group_of_its_own(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    vpc = users_vpc()
    first = prepare(tmp_path / "first", create_vpc=False, vpc_id=vpc, **NO_SERVERS)
    assert run(SCRIPT, first, "--yes", *ONE_VM).exit_code == 0
    second = second_in(vpc, tmp_path / "second")
    made = run(SCRIPT, second, "--yes", "--json", *ONE_VM)
    assert made.exit_code == 0, made.document["problems"]
    assert groups_of_machines() == {
        "lambda-fs": "lambda-fs-security-group",
        "second": "second-lambda-fs-security-group",
    }
    for folder in (first, second):
        shown = run(SCRIPT, folder, "plan", "--json", *ONE_VM)
        assert {step["action"] for step in shown.document["steps"]} == {"exists"}
    assert run(SCRIPT, first, "destroy", "--yes").exit_code == 0
    assert groups_of_machines() == {"second": "second-lambda-fs-security-group"}


@pytest.mark.parametrize("owner", ["", "lambda-fs"])
def test_a_security_group_name_that_another_deployment_has_is_refused(
    cloud: RehearsalCloud, tmp_path: Path, owner: str
) -> None:
    """In the VPC of the deployment itself also one that nobody's tag claims."""
    vpc, ec2 = users_vpc(), client("ec2")
    group = ec2.create_security_group(GroupName="shared", Description="their", VpcId=vpc)["GroupId"]
    if owner:
        mark = [{"Key": "lambda-fs:deployment", "Value": owner}]
        ec2.create_tags(Resources=[group], Tags=mark)
    else:
        network = {"Key": "lambda-fs:deployment", "Value": "second"}
        step = {"Key": "lambda-fs:step", "Value": "vpc"}
        ec2.create_tags(Resources=[vpc], Tags=[network, step])
    second = second_in(vpc, tmp_path / "second", security_group_name="shared")
    if not owner:
        place = {"create_vpc": True, "vpc_id": None}
        second = prepare(
            tmp_path / "own", deployment_name="second", security_group_name="shared", **place
        )
    writes = len(cloud.calls.writes())
    ended = run(SCRIPT, second, "--yes", "--json", "--only", "security group")
    assert ended.exit_code == 2, ended.stdout
    assert ended.document["problems"][0]["hint"] == "choose another security_group_name"
    assert len(cloud.calls.writes()) == writes


def test_a_group_that_nobody_has_tagged_is_used_by_its_plain_name(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    vpc, ec2 = users_vpc(), client("ec2")
    name = "lambda-fs-security-group"
    group = ec2.create_security_group(GroupName=name, Description="users", VpcId=vpc)["GroupId"]
    second = second_in(vpc, tmp_path / "second")
    shown = run(SCRIPT, second, "plan", "--json", "--only", "security group")
    assert {step["name"]: step["id"] for step in shown.document["steps"]}["security group"] == group


def test_a_cluster_of_another_deployment_is_a_conflict(
    cloud: RehearsalCloud, tmp_path: Path
) -> None:
    assert run(SCRIPT, prepare(tmp_path / "first"), "--yes").exit_code == 0
    second = prepare(tmp_path / "second", deployment_name="second")
    writes = len(cloud.calls.writes())
    ended = run(SCRIPT, second, "--yes", "--json")
    assert ended.exit_code == 2
    hints = " ".join(problem["hint"] for problem in ended.document["problems"])
    assert "eks_cluster_name" in hints
    assert "eks_iam_role_name" in hints
    assert len(cloud.calls.writes()) == writes


AMIS = {
    "lambda_fs_client_ami": "ami-0000000000000001a",
    "zookeeper_ami": "ami-0000000000000001b",
    "ndb_manager_ami": "ami-0000000000000001c",
    "ndb_datanode1_ami": "ami-0000000000000001d",
    "ndb_datanode2_ami": "ami-0000000000000001e",
    "hopsfs_ami": "ami-0000000000000001f",
}


def test_another_region_needs_its_own_amis(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    folder = prepare(tmp_path / "work", aws_region="eu-west-1")
    refused = run(SCRIPT, folder, "--yes", "--json")
    assert refused.exit_code == 2
    message = str(refused.document["problems"])
    assert all(key in message for key in AMIS)


UNCHANGEABLE: list[tuple[dict[str, Any], str]] = [
    ({"private_subnet_cidrs": ["10.0.128.0/20", "10.0.160.0/20"]}, "10.0.144.0/20"),
    ({"lfs_client_vm_instance_type": "r5.2xlarge"}, "lfs_client_vm_instance_type"),
    ({"num_ndb_datanodes": 2}, "restore num_ndb_datanodes"),
    ({"kubernetes_version": "1.34"}, "kubernetes_version"),
]
"""Change of the configuration -> what its fix names."""


def test_what_cannot_be_changed_is_refused_with_its_fix(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    writes = len(cloud.calls.writes())
    for change, fix in UNCHANGEABLE:
        write_config(folder, **change)
        ended = run(SCRIPT, folder, "--yes", "--json")
        assert ended.exit_code == 2, (change, ended.document["problems"])
        hints = [problem["hint"] for problem in ended.document["problems"]]
        assert fix in " ".join(hints), change
        assert len(cloud.calls.writes()) == writes, change


class TestEurope:
    """A cloud in which the AMIs were copied to another region."""

    @pytest.fixture
    def settings(self) -> Any:
        """Return settings with a copied image for every role in eu-west-1."""
        from aws_setup.rehearsal.core.settings import Settings

        copies = [Image(id=ami, name=key, region="eu-west-1") for key, ami in AMIS.items()]
        return Settings(speed=0, images=[*Settings().images, *copies])

    def test_it_works_with_configured_amis(
        self, cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_REGION")
        folder = prepare(tmp_path / "work", aws_region="eu-west-1", **AMIS)
        made = run(SCRIPT, folder, "--yes", "--json")
        assert made.exit_code == 0, made.document["problems"]
        assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
        assert not of_deployment(cloud, "lambda-fs")

    @pytest.mark.kind("A7")
    def test_of_two_regions_with_one_name_the_second_is_refused_and_destroys_nothing(
        self, cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on another computer, where no receipt is: IAM shows its roles in every region."""
        monkeypatch.delenv("AWS_REGION")
        first = prepare(tmp_path / "first", aws_region="us-east-1")
        second = prepare(tmp_path / "second", aws_region="eu-west-1", **AMIS)
        assert run(SCRIPT, first, "--yes").exit_code == 0
        made = everything(cloud)

        ended = run(SCRIPT, second, "--yes", "--json")
        assert ended.exit_code == 2, ended.stdout
        problems = {it["what"]: it["hint"] for it in ended.document["problems"]}
        roles = [what for what in problems if "lambda-fs in us-east-1" in what]
        assert [what.split(" role")[0] for what in roles] == ["eks cluster", "deadline"]
        assert all("add --region us-east-1" in problems[what] for what in roles)
        gone = run(SCRIPT, second, "destroy", "--yes")
        assert gone.exit_code == 0, gone.stderr
        assert "Nothing of lambda-fs exists in region eu-west-1" in gone.stdout
        assert "lambda-fs in us-east-1" in gone.stderr
        assert everything(cloud) == made

        untag()  # as an earlier version made them: the deadline's trust policy has its region
        without = everything(cloud)
        gone = run(SCRIPT, second, "destroy", "--yes")
        assert gone.exit_code == 3, gone.stderr
        (line,) = [line for line in gone.stdout.splitlines() if "aws iam tag-role" in line]
        assert line.strip().startswith("eks cluster role arn:")
        assert everything(cloud) == without
        assert run(SCRIPT, second, "--yes").exit_code == 2
        assert run(SCRIPT, first, "--yes").exit_code == 0
        assert everything(cloud) == made

        untag()
        assert run(SCRIPT, first, "destroy", "--yes").exit_code == 0
        assert not of_deployment(cloud, "lambda-fs")

    @pytest.mark.kind("A7")
    def test_a_role_whose_region_nothing_says_is_deleted_after_the_command_that_is_shown(
        self, cloud: RehearsalCloud, folder: Path
    ) -> None:
        only = ("--only", "eks cluster role")
        assert run(SCRIPT, folder, "--yes", *only).exit_code == 0
        untag()
        refused = run(SCRIPT, folder, "--yes", "--json", *only)
        assert refused.exit_code == 2
        assert "aws iam tag-role" in refused.stdout
        kept = run(SCRIPT, folder, "destroy", "--yes", *only)
        assert kept.exit_code == 3, kept.stderr
        command = kept.stdout.split("`")[1].split()
        name, pair = command[4], dict(part.split("=") for part in command[6].split(","))
        client("iam").tag_role(RoleName=name, Tags=[pair])
        assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
        assert not of_deployment(cloud, "lambda-fs")


def untag() -> None:
    """Remove the region's tag from every role."""
    for role in client("iam").list_roles()["Roles"]:
        client("iam").untag_role(RoleName=role["RoleName"], TagKeys=["lambda-fs:region"])


def everything(cloud: RehearsalCloud) -> list[tuple[str, str, dict[str, str]]]:
    """Return what exists, with its tags; a run's lock is of its region."""
    found = [it for it in cloud.snapshot() if it.kind != "parameter"]
    return sorted((it.kind, it.id, dict(it.tags)) for it in found)


def test_destroy_does_not_need_what_was_adopted(cloud: RehearsalCloud, folder: Path) -> None:
    write_config(folder, create_eks_iam_role=False, create_eks_cluster=False)
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code == 0, gone.document["problems"]


def test_what_is_left_is_named_with_its_price_and_command(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "lambda-fs client").exit_code == 0
    ec2 = client("ec2")
    machine = ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    ec2.modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": True})
    ended = run(SCRIPT, folder, "destroy", "--yes")
    assert ended.exit_code == 3, ended.stderr
    assert f"instance {machine}, $1.008/h: aws ec2 terminate-instances" in ended.stdout
    assert "protection" in ended.stderr
    ec2.modify_instance_attribute(InstanceId=machine, DisableApiTermination={"Value": False})
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert not of_deployment(cloud, "lambda-fs")


def test_machines_that_were_all_terminated_by_hand_are_replaced(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "zookeeper").exit_code == 0
    ec2 = client("ec2")
    for _ in range(2):
        groups = ec2.describe_instances(
            Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
        )["Reservations"]
        old = [machine["InstanceId"] for group in groups for machine in group["Instances"]]
        ec2.terminate_instances(InstanceIds=old)
        again = run(SCRIPT, folder, "--yes", "--json", "--only", "zookeeper")
        assert again.exit_code == 0, again.document["problems"]
        assert of_deployment(cloud, "lambda-fs")["instance", "zookeeper"] == 3


def test_a_machine_whose_end_aws_lists_no_longer_is_replaced(
    cloud: RehearsalCloud, folder: Path
) -> None:
    only = ("--yes", "--json", "--only", "lambda-fs client")
    assert run(SCRIPT, folder, *only).exit_code == 0
    ec2 = client("ec2")
    advance_by_calls(cloud, 5.0)
    ended = []
    for _ in range(2):
        (machine,) = active(ec2)
        ended.append(machine)
        ec2.terminate_instances(InstanceIds=[machine])
        assert isinstance(cloud.clock, CallClock)
        cloud.clock.advance(2 * 3600)
        ec2.describe_instances()
        assert not ec2.describe_instances()["Reservations"], "AWS lists it for an hour"
        again = run(SCRIPT, folder, *only)
        assert again.exit_code == 0, again.document["problems"]
    (machine,) = active(ec2)
    assert machine not in ended


def active(ec2: Any) -> list[str]:
    """Return the ids of the instances that are not terminated."""
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    groups = ec2.describe_instances(Filters=filters)["Reservations"]
    return [machine["InstanceId"] for group in groups for machine in group["Instances"]]


def tokens(cloud: RehearsalCloud, *, since: int) -> list[str]:
    """Return the client tokens of the private route table, which decides between two VPCs."""
    made = [call for call in cloud.calls[since:] if call.action == "CreateRouteTable"]
    return [call.params["ClientToken"] for call in made]


def test_of_the_tokens_of_a_day_aws_remembers_one(cloud: RehearsalCloud, folder: Path) -> None:
    sent = []
    for lock in (True, True, True, False):
        if not lock:
            cloud.settings.deny.append(DeniedPermission(action="ssm:*"))
        before = len(cloud.calls)
        assert run(SCRIPT, folder, "--yes", "--only", "vpc").exit_code == 0
        sent.append(tokens(cloud, since=before))
        assert run(SCRIPT, folder, "destroy", "--yes").exit_code in (0, 3)
    assert [len(each) for each in sent[:3]] == [1, 2, 2], "each more waits 12 seconds for nothing"
    assert len({each[0] for each in sent}) == 1, "a run without the lock is in the same race"


def test_the_receipt_keeps_nothing_of_another_account(cloud: RehearsalCloud, folder: Path) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "vpc").exit_code == 0
    (receipt,) = (folder / "receipts").glob("*.json")
    document = json.loads(receipt.read_text(encoding="utf-8"))
    own, other = ({"id": f"arn:aws:iam::{account}:role/x"} for account in (ACCOUNT, "9" * 12))
    document["steps"] |= {"node role": own, "ebs csi role": other, "core-nodes": {"id": "nodes"}}
    receipt.write_text(json.dumps(document), encoding="utf-8")
    assert run(SCRIPT, folder, "--yes", "--only", "vpc").exit_code == 0
    kept = json.loads(receipt.read_text(encoding="utf-8"))["steps"].keys()
    assert kept >= {"node role", "core-nodes"}
    assert "ebs csi role" not in kept, "a destroy there would delete our files"


def test_without_a_token_that_aws_does_not_remember_the_fix_is_named(
    cloud: RehearsalCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.infrastructure.network.MAX_TOKEN_GENERATIONS", 0)
    made = run(SCRIPT, folder, "--yes", "--json", "--only", "vpc")
    assert made.exit_code == 1
    (problem,) = made.document["problems"]
    assert problem["what"] == "vpc: the private route table cannot be created"
    assert "another deployment_name" in problem["hint"]


def test_destroy_deletes_what_a_killed_run_left_on_this_computer(
    cloud: RehearsalCloud, folder: Path
) -> None:
    assert run(SCRIPT, folder, "--yes", "--only", "vpc").exit_code == 0
    receipts, computer = folder / "receipts", this_process().computer
    key = receipts / "lambda-fs.tls.pem"
    key.write_text("a private key, whose certificate AWS does not have")
    unfinished = receipts / f".lambda-fs.wskprops.{computer}-1-1-abcd"
    unfinished.write_text("a key of OpenWhisk")
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert not key.exists()
    assert not unfinished.exists()
