"""create_aws_infrastructure.py from plan to destroy, through its command line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run, write_config

FRESH_CALLS = 153
"""Calls of a create after a plan: 68 writes, 49 of the checks, the rest examination and waits."""

FRESH_READS = {
    "DescribeInstances": 12,
    "GetRole": 4,
    "DescribeInternetGateways": 4,
    "DescribeRouteTables": 5,
    "DescribeAutoScalingGroups": 5,
    "DescribeNatGateways": 5,
    "DescribeSecurityGroups": 4,
    "DescribeVpcs": 4,
    "ListAWSDefaultServiceQuotas": 4,
    "ListServiceQuotas": 4,
    "RunInstances": 6,
    "SimulatePrincipalPolicy": 7,
}
"""Reads of a fresh create that are made more than three times; RunInstances is a DryRun."""

ONCE = ("DescribeInstanceTypes", "ListSchedules", "DescribeKeyPairs", "GetParametersByPath")
"""Reads whose answer counts for the whole of a fresh create."""

NEVER = ("GetScheduleGroup", "GetSubnetCidrReservations")
"""Reads of what a fresh create has made itself, and of which AWS has answered what it is."""

UNCHANGED_CALLS = 26
"""benchmarks/floor.py reads the same resources with 20 calls; lock and deadline are the rest."""


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    """Return a folder that a run can start from."""
    return prepare(tmp_path / "work")


def writes(cloud: RehearsalCloud) -> list[str]:
    """Return the actions of every write so far."""
    return [call.name for call in cloud.calls.writes()]


def with_steps_of_the_other_script(folder: Path) -> tuple[Path, set[str]]:
    """Put steps of the second script into the receipt; return its path and all its steps."""
    (receipt,) = (folder / "receipts").glob("*.json")
    document = json.loads(receipt.read_text(encoding="utf-8"))
    document["steps"] |= {"core-nodes": {"id": "nodes"}, "vpc-cni add-on": {"id": "add-on"}}
    receipt.write_text(json.dumps(document), encoding="utf-8")
    return receipt, set(document["steps"])


def resources(cloud: RehearsalCloud) -> Any:
    """Return what exists, without the key pair that the user registered."""
    return [resource for resource in cloud.snapshot() if resource.kind != "key-pair"]


def test_the_whole_story_leaves_nothing(cloud: RehearsalCloud, folder: Path) -> None:
    planned = run(SCRIPT, folder, "plan", "--json")
    assert planned.exit_code == 0, planned.stderr
    prepared, start = len(writes(cloud)), len(cloud.calls)
    made = run(SCRIPT, folder, "create", "--yes", "--json")
    assert made.exit_code == 0, made.stdout
    written = writes(cloud)[prepared:]
    own = [name for name in written if name.partition(".")[0] not in ("ssm", "scheduler")]
    assert len(own) <= 48 + 4, "benchmarks/floor.py makes 45; the role and the tags of the deadline"
    assert len(written) - len(own) <= 16, "the run lock, and a schedule for each VM and each group"
    assert written.count("ec2.CreateTags") <= 1, "only the deadline is a tag of what exists"
    calls = cloud.calls[start:]
    assert len(calls) <= FRESH_CALLS
    counts = Counter(call.action for call in calls if call.reads)
    too_often = {name: count for name, count in counts.items() if count > FRESH_READS.get(name, 3)}
    assert not too_often, "what a run has read is not read again"
    once = {name for name in ONCE if counts[name] > 1} | {name for name in NEVER if counts[name]}
    assert not once, "AWS has answered it already, or the run has just made it"
    assert not any(call.service == "pricing" for call in calls), "plan has asked for the prices"
    expected = {step["name"] for step in planned.document["steps"] if step["action"] == "create"}
    done = {step["name"] for step in made.document["steps"] if step["action"] == "create"}
    assert expected == done, "plan says exactly what create does"
    before = len(writes(cloud))
    logins = folder / "receipts" / "lambda-fs.ssh_config"
    hosts = logins.read_text()
    assert hosts.count("\nHost ") == 11, "ten machines, and the end of the last one"
    receipt, noted = with_steps_of_the_other_script(folder)
    before_again = len(cloud.calls)
    again = run(SCRIPT, folder, "create", "--yes", "--json")
    assert again.exit_code == 0
    asked = cloud.calls[before_again:]
    assert len(asked) <= UNCHANGED_CALLS, "one list call for each kind, however many exist"
    assert {step["action"] for step in again.document["steps"]} == {"exists"}
    assert len(writes(cloud)) == before, "a second create writes nothing"
    kept = json.loads(receipt.read_text(encoding="utf-8"))
    assert kept["steps"].keys() == noted, "the other script's steps are kept"
    part = run(SCRIPT, folder, "--yes", "--only", "vpc")
    assert part.exit_code == 0
    assert logins.read_text() == hosts, "a run over a part keeps the other machines"
    shown = run(SCRIPT, folder, "status", "--json")
    assert shown.exit_code == 0
    gone = run(SCRIPT, folder, "destroy", "--yes", "--json")
    assert gone.exit_code == 0, gone.stdout
    assert resources(cloud) == []
    kept = json.loads(receipt.read_text(encoding="utf-8"))
    assert (kept["steps"], kept["cost"]["ended"]) == ({}, True)
    assert not logins.exists()
    idle = run(SCRIPT, folder, "destroy", "--yes")
    assert idle.exit_code == 0
    assert "Nothing of lambda-fs exists in region us-east-1 of this account" in idle.stdout


def test_status_says_where_nothing_exists(cloud: RehearsalCloud, folder: Path) -> None:
    """The steps of the plan alone would look as if something was to be done here."""
    nothing = "\nNothing of lambda-fs exists in region us-east-1 of this account.\n"
    assert nothing in run(SCRIPT, folder, "status").stdout
    assert run(SCRIPT, folder, "--yes", "--only", "vpc").exit_code == 0
    assert "Nothing of" not in run(SCRIPT, folder, "status").stdout


def test_machines_have_what_lambda_fs_expects(cloud: RehearsalCloud, folder: Path) -> None:
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    ec2 = client("ec2")
    reservations = ec2.describe_instances()["Reservations"]
    machines = [machine for group in reservations for machine in group["Instances"]]
    named = {tag(machine, "Name"): machine for machine in machines}
    assert set(named) == {
        "ndb-manager-node",
        *(f"ndb-datanode-type{kind}-{index}" for kind in (1, 2) for index in (0, 1)),
        *(f"lambdafs-zookeeper-{index}" for index in (0, 1, 2)),
        "lambda-fs-client-driver",
        "hops-fs-client-driver",
    }
    fixed = ("10.0.8.233", "10.0.4.113", "10.0.14.89")
    for index, address in enumerate(fixed):
        assert named[f"lambdafs-zookeeper-{index}"]["PrivateIpAddress"] == address
    assert named["ndb-manager-node"]["PrivateIpAddress"] == "10.0.6.227"
    assert tag(named["ndb-manager-node"], "Component") == "NDB_MGM_VM"
    for machine in machines:
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        assert machine.get("PublicIpAddress")
        assert tag(machine, "lambda-fs:deployment") == "lambda-fs"
        disks = machine["BlockDeviceMappings"]
        assert all(disk["Ebs"]["DeleteOnTermination"] for disk in disks)
    volumes = ec2.describe_volumes()["Volumes"]
    assert all(tag(volume, "lambda-fs:deployment") == "lambda-fs" for volume in volumes)
    assert all(volume["Encrypted"] for volume in volumes)


def tag(item: Any, key: str) -> str:
    """Return a tag of a resource."""
    return str({entry["Key"]: entry["Value"] for entry in item.get("Tags", [])}.get(key, ""))


def test_the_cluster_is_open_to_the_operator_only(cloud: RehearsalCloud, folder: Path) -> None:
    assert run(SCRIPT, folder, "--yes").exit_code == 0
    cluster = client("eks").describe_cluster(name="lambda-fs-eks-cluster")["cluster"]
    network = cluster["resourcesVpcConfig"]
    assert network["publicAccessCidrs"] == ["52.94.76.7/32"]
    assert network["endpointPrivateAccess"]
    assert len(network["subnetIds"]) == 4
    assert cluster["accessConfig"]["authenticationMode"] == "API_AND_CONFIG_MAP"
    write_config(folder, user_public_ip="52.94.76.9")
    moved = run(SCRIPT, folder, "--yes", "--json")
    assert moved.exit_code == 0
    updated = {step["name"] for step in moved.document["steps"] if step["action"] == "update"}
    assert updated == {"security group", "eks cluster"}
    groups = client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["lambda-fs-security-group"]}]
    )["SecurityGroups"]
    rules = [rule for rule in groups[0]["IpPermissions"] if rule.get("FromPort") == 22]
    sources = [source["CidrIp"] for rule in rules for source in rule["IpRanges"]]
    assert sources == ["52.94.76.9/32"]


def test_without_consent_nothing_is_written(cloud: RehearsalCloud, folder: Path) -> None:
    before = writes(cloud)
    ended = run(SCRIPT, folder)
    assert ended.exit_code == 2
    assert "--yes" in ended.stderr
    assert writes(cloud) == before


@pytest.mark.parametrize(
    "part",
    [
        "create_eks_cluster",
        "create_zookeeper_vms",
        "create_ndb_cluster",
        "create_lambda_fs_client_vm",
        "create_hops_fs_client_vm",
        "create_autoscaling_groups",
    ],
)
def test_a_part_that_is_switched_off_is_not_created(
    cloud: RehearsalCloud, folder: Path, part: str
) -> None:
    write_config(folder, **{part: False})
    made = run(SCRIPT, folder, "--yes", "--json")
    assert made.exit_code == 0, made.stdout
    names = " ".join(step["name"] for step in made.document["steps"])
    word = {
        "create_eks_cluster": "eks",
        "create_zookeeper_vms": "zookeeper",
        "create_ndb_cluster": "ndb",
        "create_lambda_fs_client_vm": "lambda-fs client",
        "create_hops_fs_client_vm": "hopsfs client",
        "create_autoscaling_groups": "auto-scaling group",
    }[part]
    assert word not in names
    assert run(SCRIPT, folder, "destroy", "--yes").exit_code == 0
    assert resources(cloud) == []


def test_only_makes_the_named_steps_and_their_needs(cloud: RehearsalCloud, folder: Path) -> None:
    made = run(SCRIPT, folder, "--yes", "--json", "--only", "public route")
    assert [step["name"] for step in made.document["steps"]] == [
        "vpc",
        "internet gateway",
        "public route table",
        "public route",
    ]
    wrong = run(SCRIPT, folder, "--yes", "--only", "moon")
    assert wrong.exit_code == 2
    assert "moon" in wrong.stderr
    assert "nat gateway" in wrong.stderr
