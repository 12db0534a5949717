"""Preflight through the command line: what passes, what is chosen, what is a warning."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.preflight.public_ip import known
from aws_setup.rehearsal.core.settings import ACCOUNT, DeniedPermission, Quotas, Settings
from tests.support.aws import client
from tests.support.preflight import Operator, only


def cloud_of(**changes: object) -> pytest.MarkDecorator:
    """Return a mark that gives the test a cloud with other settings."""
    return pytest.mark.parametrize("settings", [Settings(speed=0, **changes)], ids=["cloud"])


def test_the_default_deployment_passes_with_its_price(operator: Operator) -> None:
    ended = operator.run("plan")
    assert ended["exit_code"] == 0
    assert [warning["what"] for warning in ended["warnings"]] == ["6 AMIs are deprecated"]
    who = (ended["account"], ended["arn"], ended["region"])
    assert who == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/rehearsal", "us-east-1")
    # 10 machines of $1.008, 11 public addresses of $0.005, one NAT gateway and one cluster;
    # gp2 at $0.10 a GB and month: 8 GB each, and 100 GB more for each ZooKeeper machine.
    disks = (10 * 8 + 3 * 100) * 0.10 / 730
    assert ended["prices"]["parts"]["disks"] == pytest.approx(disks, abs=1e-4)
    assert ended["hourly_usd"] == pytest.approx(10 * 1.008 + 11 * 0.005 + 0.145 + disks, abs=1e-4)
    assert ended["prices"]["daily_usd"] == pytest.approx(24 * ended["hourly_usd"], abs=0.01)
    assert ended["prices"]["source"] == "AWS's price list for us-east-1 of 2026-11-01"
    assert set(ended["prices"]["parts"]) == {"machines", "network", "eks", "disks"}
    assert operator.cloud.calls.writes()[1:] == []


def test_an_unchanged_deployment_is_not_checked_again(operator: Operator) -> None:
    small = only("create_lambda_fs_client_vm")
    assert operator.run("create", "--yes", **small)["exit_code"] == 0
    before = len(operator.cloud.calls)
    assert operator.run("create", "--yes", **small)["warnings"] == []
    called = {call.name for call in operator.cloud.calls[before:]}
    assert not called & {"iam.SimulatePrincipalPolicy", "ec2.DescribeKeyPairs"}
    assert not any(name.startswith("service-quotas.") for name in called)


@cloud_of(not_offered={"us-east-1a": ["r5.4xlarge"], "us-east-1c": ["r5.xlarge"]})
def test_zones_are_those_that_offer_every_type(operator: Operator) -> None:
    everything_off_but_the_cluster = only("create_eks_cluster", "create_lambda_fs_client_vm")
    assert operator.run("create", "--yes", **everything_off_but_the_cluster)["exit_code"] == 0
    subnets = client("ec2").describe_subnets()["Subnets"]
    zones = {s["AvailabilityZone"] for s in subnets if s["CidrBlock"].startswith("10.0.")}
    assert not zones & {"us-east-1a", "us-east-1c"}
    ids = {s["AvailabilityZoneId"] for s in subnets if s["CidrBlock"].startswith("10.0.")}
    assert "use1-az3" not in ids


def test_the_newest_checked_version_in_standard_support_is_chosen(operator: Operator) -> None:
    assert operator.run("create", "--yes", **only("create_eks_cluster"))["exit_code"] == 0
    cluster = client("eks").describe_cluster(name="lambda-fs-eks-cluster")["cluster"]
    assert cluster["version"] == "1.36"


def test_extended_support_is_a_warning_with_its_price(operator: Operator) -> None:
    warnings = operator.warned(kubernetes_version="1.33", **only("create_eks_cluster"))
    assert any("1.33 is in extended support" in line and "$0.60" in line for line in warnings)


def test_extended_support_is_in_the_price(operator: Operator) -> None:
    keys = only("create_eks_cluster")
    usual = operator.run("plan", **keys)["prices"]["parts"]["eks"]
    extended = operator.run("plan", kubernetes_version="1.33", **keys)["prices"]["parts"]["eks"]
    assert (usual, extended) == (0.10, 0.60)


def test_an_even_number_of_zookeeper_nodes_is_a_warning(operator: Operator) -> None:
    ips = ["10.0.8.233", "10.0.4.113", "10.0.14.89"]
    keys = only("create_zookeeper_vms")
    warnings = operator.warned(num_lambda_fs_zk_vms=4, zookeeper_private_ips=ips, **keys)
    assert any("tolerate no more failures than 3" in line for line in warnings)


DENIED = {
    "servicequotas:*": "the quota of vCPUs of standard instances could not be checked",
    "ec2:DescribeKeyPairs": "the key pair could not be checked",
    "ec2:DescribeInstanceTypeOfferings": "the zones could not be checked",
    "eks:DescribeClusterVersions": "the Kubernetes versions of EKS could not be checked",
    "iam:SimulatePrincipalPolicy": "the permissions could not be checked in advance",
}


@pytest.mark.parametrize(
    ("settings", "action"),
    [(Settings(speed=0, deny=[DeniedPermission(action=action)]), action) for action in DENIED],
    ids=list(DENIED),
)
def test_a_check_that_aws_denies_is_a_warning(operator: Operator, action: str) -> None:
    warnings = operator.warned()
    (warning,) = [line for line in warnings if DENIED[action] in line]
    assert "your credentials lack the permission" in warning
    assert "->" in warning


@cloud_of(deny=[DeniedPermission(action="pricing:*")])
def test_without_the_price_list_the_source_is_the_table(operator: Operator) -> None:
    ended = operator.run("plan")
    assert ended["hourly_usd"] == pytest.approx(10.3321)
    assert "us-east-1 prices of November 2026" in ended["prices"]["source"]


@cloud_of(quotas=Quotas(vcpus=200))
def test_a_quota_too_small_for_the_node_groups_is_a_warning_in_time(operator: Operator) -> None:
    (warning,) = [line for line in operator.warned() if "quota" in line]
    assert "node groups included" in warning
    assert "300 are needed and 0 are in use; us-east-1 allows 200 (L-1216C47A)" in warning


@cloud_of(
    deny=[
        DeniedPermission(action="iam:SimulatePrincipalPolicy"),
        DeniedPermission(action="ec2:AllocateAddress"),
    ]
)
def test_without_the_simulator_dry_runs_find_missing_permissions(operator: Operator) -> None:
    (problem,) = operator.refused(**only())
    assert "may not ec2:AllocateAddress" in problem


class _Checkip(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response_only(200)
        self.end_headers()
        self.wfile.write(b"54.1.2.3\n")


@pytest.fixture
def checkip() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Checkip) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_address_of_the_checkip_service_is_allowed(
    operator: Operator, checkip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SETUP_CHECKIP", checkip)
    ended = operator.run("create", "--yes", user_public_ip="DEFAULT_VALUE", **only())
    assert ended["exit_code"] == 0
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    allowed = [r["CidrIp"] for g in groups for p in g["IpPermissions"] for r in p["IpRanges"]]
    assert allowed == ["54.1.2.3/32"]


@pytest.mark.kind("A9")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("54.1.2.3, 10.0.0.1", "answered '54.1.2.3, 10.0.0.1', 2 addresses"),
        ("<html><body>Sign in</body></html>", "answered '<html><body>Sign in</body></html>', no"),
        ("", "answered '', nothing"),
        ("54.1.2", "answered '54.1.2', no address"),
    ],
)
def test_what_another_service_answers_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: str, told: str
) -> None:
    monkeypatch.setattr("aws_setup.preflight.public_ip._look_up", lambda: answer)
    found = known(Config(ssh_keypair_name="k", ssh_key_path="k"))
    assert found["operator_cidrs"] == ()
    assert f"https://checkip.amazonaws.com {told}" in found["address_problem"]


@pytest.mark.kind("A9")
def test_an_ipv6_answer_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aws_setup.preflight.public_ip._look_up", lambda: "2A05:D018::1")
    found = known(Config(ssh_keypair_name="k", ssh_key_path="k"))
    assert found["operator_cidrs"] == ("2a05:d018::1/128",)


@pytest.mark.kind("A9")
def test_lists_and_ranges_of_both_families_are_allowed(operator: Operator) -> None:
    ranges = ["54.10.20.0/24", "54.1.2.3", "2a05:d018:1::/64"]
    ended = operator.run("create", "--yes", user_public_ip=ranges, **only("create_eks_cluster"))
    assert ended["exit_code"] == 0, ended
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    rules = [p for g in groups for p in g["IpPermissions"] if p.get("FromPort") == 22]
    found = {r["CidrIp"] for p in rules for r in p["IpRanges"]}
    assert found == {"54.10.20.0/24", "54.1.2.3/32"}
    assert {r["CidrIpv6"] for p in rules for r in p["Ipv6Ranges"]} == {"2a05:d018:1::/64"}
    cluster = client("eks").describe_cluster(name="lambda-fs-eks-cluster")["cluster"]
    allowed = cluster["resourcesVpcConfig"]["publicAccessCidrs"]
    assert sorted(allowed) == ["54.1.2.3/32", "54.10.20.0/24"]
    keys = {"user_public_ip": ranges, **only("create_eks_cluster")}
    assert {step["action"] for step in operator.run("plan", **keys)["steps"]} == {"exists"}
    ended = operator.run("create", "--yes", **(keys | {"user_public_ip": ranges[:1]}))
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    rules = [p for g in groups for p in g["IpPermissions"] if p.get("FromPort") == 22]
    assert [r["CidrIp"] for p in rules for r in p["IpRanges"]] == ["54.10.20.0/24"]
    assert not [r for p in rules for r in p["Ipv6Ranges"]]


@pytest.mark.kind("A9")
def test_an_operator_with_ipv6_only_is_told_what_to_set(operator: Operator) -> None:
    address = "2a05:d018::1"
    (problem,) = operator.refused(user_public_ip=address, **only("create_eks_cluster"))
    assert "EKS takes IPv4 ranges only, and you have 2a05:d018::1/128" in problem
    assert "set eks_public_access_cidrs" in problem


@pytest.mark.parametrize(
    "settings",
    [Settings(speed=0, principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/researcher/session")],
    ids=["assumed role"],
)
def test_a_session_of_a_role_is_simulated_as_the_role(operator: Operator) -> None:
    operator.warned(**only())
    call = operator.cloud.calls.named("SimulatePrincipalPolicy")[0]
    assert call.params["PolicySourceArn"] == f"arn:aws:iam::{ACCOUNT}:role/researcher"


ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CANNOT = "nobody else will be able to administer the cluster"


def test_the_root_user_is_told_before_the_cluster_is_made_who_will_administer_it(
    operator: Operator,
) -> None:
    operator.cloud.settings.principal = ROOT
    (warning,) = [line for line in operator.warned(**only("create_eks_cluster")) if CANNOT in line]
    assert f"{ROOT} is no IAM user or role" in warning
    assert "cluster_admins" in warning
    admins = {"cluster_admins": [f"arn:aws:iam::{ACCOUNT}:role/team"]}
    for keys in (only(), only("create_eks_cluster") | admins):
        assert not any(CANNOT in line for line in operator.warned(**keys))


def test_a_role_whose_path_is_unknown_is_named_before_the_cluster_is_made(
    operator: Operator,
) -> None:
    principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/analyst/session"
    operator.cloud.settings.principal = principal
    warnings = operator.warned(**only("create_eks_cluster"))
    (warning,) = [line for line in warnings if "whole ARN" in line]
    assert "add the role's ARN, path included, to cluster_admins" in warning


@pytest.mark.parametrize("spot", [[], ["invokers"]])
def test_nodes_that_do_not_run_their_ami_are_refused_before_the_cluster_is_made(
    operator: Operator, spot: list[str]
) -> None:
    kinds = {"openwhisk_core_instance_type": "m6g.xlarge"}
    kinds |= {"openwhisk_invoker_instance_type": "r6g.8xlarge"}
    keys: dict[str, Any] = {**only("create_eks_cluster"), **kinds, "spot": spot}
    core, invokers = [line for line in operator.refused(**keys) if "nodes cannot be" in line]
    assert core.startswith("the cluster's nodes cannot be of type m6g.xlarge: it runs arm64;")
    assert "set openwhisk_core_instance_type to a type with Intel or AMD" in core
    assert "r6g.8xlarge" in invokers
    assert operator.run("plan", **(keys | only()))["exit_code"] == 0, "there are no nodes"


UNLISTED = DeniedPermission(action="ec2:DescribeAvailabilityZones")


@cloud_of(deny=[UNLISTED])
def test_without_a_list_of_zones_none_is_assumed(operator: Operator) -> None:
    """Many accounts have no ap-northeast-1b, and us-west-1 has two of three zones."""
    (problem,) = operator.refused(**only())
    assert problem.startswith("the zones for the subnets are not known: ")
    assert "lack the permission ec2:DescribeAvailabilityZones" in problem
    assert "set availability_zones to two of those" in problem
    zones = ["us-east-1c", "us-east-1d"]
    ended = operator.run("create", "--yes", **only(), availability_zones=zones)
    assert ended["exit_code"] == 0, ended["problems"]
    (warning,) = [one for one in ended["warnings"] if one["what"].startswith("the zones")]
    assert warning["what"] == "the zones could not be checked"
    subnets = client("ec2").describe_subnets()["Subnets"]
    made = {it["AvailabilityZone"] for it in subnets if it["CidrBlock"].startswith("10.0.")}
    assert made == set(zones)


@cloud_of(deny=[DeniedPermission(action="ec2:DescribeInstanceTypeOfferings")])
def test_without_the_types_of_the_zones_those_that_exist_are_used(operator: Operator) -> None:
    ended = operator.run("create", "--yes", **only())
    assert ended["exit_code"] == 0, ended["problems"]


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a service that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_service_that_never_answers_is_a_warning_in_time(
    operator: Operator, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aws_setup.aws.session.TIMEOUT_SECONDS", 0.5)
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", silent)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", silent)
    ended = operator.run("plan", **only())
    assert ended["exit_code"] == 0
    assert ended["seconds"] < 20
    assert "us-east-1 prices of November 2026" in ended["prices"]["source"]
    quotas = [
        problem for problem in ended["warnings"] if problem["what"].startswith("the quota of")
    ]
    assert len(quotas) == 4
    assert all("cannot be reached" in item["why"] for item in quotas)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"num_namenode_deployments": 500}, "500 NameNodes of 20000 MB do not fit on"),
        ({"profile": "smoke", "num_namenode_deployments": 40}, "40 NameNodes of"),
        ({"openwhisk_action_memory": 200_000}, "a NameNode of 200000 MB does not fit"),
    ],
)
def test_namenodes_that_do_not_fit_are_refused_before_a_cluster_is_made(
    operator: Operator, keys: dict[str, Any], what: str
) -> None:
    (problem,) = operator.refused(**only("create_eks_cluster"), **keys)
    assert problem.startswith(what)
    assert "MB for actions" in problem
    assert operator.run("plan", **only(), **keys)["exit_code"] == 0, "there is no cluster to fill"
