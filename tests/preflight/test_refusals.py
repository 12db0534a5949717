"""Every refusal of preflight: its message, exit code 2, and no write in the cloud's call log."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from aws_setup.preflight.key_pair import (
    LocalKey,
    created_key_fingerprint,
    imported_key_fingerprint,
    read_key,
    same_key,
)
from aws_setup.rehearsal.core.settings import DeniedPermission, Quotas, Settings
from tests.preflight.test_checks import cloud_of
from tests.support.aws import client
from tests.support.preflight import KEY, Operator, one_line, only, pem, public
from tests.support.users_vpc import make_users_vpc

ONE = only("create_lambda_fs_client_vm")

ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of the test's cloud; a test may give its quotas."""
    return Settings(speed=0, quotas=getattr(request, "param", Quotas()))


def test_every_problem_is_reported_at_once(operator: Operator) -> None:
    problems = operator.refused(
        ssh_keypair_name="nobody",
        ssh_key_path="absent.pem",
        zookeeper_ami="ami-0123456789abcdef0",
        kubernetes_version="1.24",
        user_public_ip="DEFAULT_VALUE",
        availability_zones=["us-east-1a", "us-east-1z"],
    )
    assert len(problems) == 6
    output = "\n".join(problems)
    for part in ("nobody", "absent.pem", "ami-0123456789abcdef0", "1.24", "address", "us-east-1z"):
        assert part in output


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (b"ssh-rsa AAAA me@here\n", "is not a private key", "the file without .pub"),
        (b"PuTTY-User-Key-File-3: ssh-rsa\n", "is not a private key", "puttygen"),
        (b"what\n", "is not a private key", "PEM or OpenSSH"),
        (ED25519, "is not RSA", "--key-type rsa"),
        (
            pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
            "ssh_key_path is not the private key of ssh_keypair_name",
            "import",
        ),
    ],
    ids=["public half", "putty", "no key", "ed25519", "another key"],
)
def test_a_local_key_that_cannot_be_used(
    operator: Operator, content: bytes, what: str, hint: str
) -> None:
    (operator.folder / "other.pem").write_bytes(content)
    (problem,) = operator.refused(ssh_key_path="other.pem", **ONE)
    assert what in problem
    assert hint in problem.partition("->")[2]


def test_a_key_pair_that_is_not_registered(operator: Operator) -> None:
    (problem,) = operator.refused(ssh_keypair_name="nobody", **ONE)
    assert "us-east-1 has no key pair nobody" in problem
    assert "aws ec2 import-key-pair --key-name nobody" in problem


@pytest.mark.parametrize("place", [60, 300, 550, 700, 850, 1100])
def test_a_damaged_key_is_refused(tmp_path: Path, place: int) -> None:
    """One bit of it: of the modulus, an exponent, a factor or what is computed from them."""
    path = tmp_path / "key.pem"
    path.write_bytes(pem(KEY))
    assert read_key(path)[1] == []
    first, *lines, last = path.read_bytes().splitlines()
    der = bytearray(base64.b64decode(b"".join(lines)))
    der[place] ^= 4
    path.write_bytes(b"\n".join([first, base64.encodebytes(der).strip(), last]))
    key, (finding,) = read_key(path)
    assert key is None
    assert "is not a private key" in finding.problem.what


def test_a_key_in_openssh_format_is_read(operator: Operator) -> None:
    content = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    (operator.folder / "openssh").write_bytes(content)
    operator.warned(ssh_key_path="openssh", **ONE)


def test_a_locked_key_is_compared_by_its_public_half(operator: Operator) -> None:
    (operator.folder / "locked").write_bytes(pem(KEY, b"secret"))
    warnings = operator.warned(ssh_key_path="locked", **ONE)
    assert any("passphrase" in line and "could not be compared" in line for line in warnings)
    (operator.folder / "locked.pub").write_bytes(public(KEY))
    warnings = operator.warned(ssh_key_path="locked", **ONE)
    assert any("passphrase" in line and "could not" not in line for line in warnings)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (operator.folder / "locked.pub").write_bytes(public(other))
    (problem,) = operator.refused(ssh_key_path="locked", **ONE)
    assert "ssh_key_path is not the private key of ssh_keypair_name" in problem


def test_both_forms_of_fingerprint_match() -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for fingerprint in (created_key_fingerprint, imported_key_fingerprint):
        digits = fingerprint(KEY)
        pairs = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
        assert same_key(LocalKey(KEY), {"KeyFingerprint": pairs})
        assert same_key(LocalKey(other), {"KeyFingerprint": pairs}) is False
    assert len(created_key_fingerprint(KEY)) == 40
    assert len(imported_key_fingerprint(KEY)) == 32
    assert same_key(LocalKey(), {"KeyFingerprint": "x"}) is None


def test_a_missing_ami_names_its_keys(operator: Operator) -> None:
    (problem,) = operator.refused(lambda_fs_client_ami="ami-0123456789abcdef0", **ONE)
    assert "us-east-1 has no AMI ami-0123456789abcdef0 (lambda_fs_client_ami)" in problem
    assert "set lambda_fs_client_ami to an AMI of us-east-1" in problem


def test_another_region_gets_the_option_that_copies_the_amis(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    client("ec2", "us-west-2").import_key_pair(KeyName="researcher", PublicKeyMaterial=public(KEY))
    (problem,) = operator.refused(**ONE)
    assert "the λFS AMIs exist in us-east-1 only" in problem
    assert "add --copy-amis to copy the λFS AMIs to us-west-2" in problem


def test_an_architecture_that_the_type_does_not_run(operator: Operator) -> None:
    (problem,) = operator.refused(lfs_client_vm_instance_type="m6g.large", **ONE)
    assert "does not run on m6g.large: it is x86_64, the type runs arm64" in problem
    assert "lfs_client_vm_instance_type" in problem


def test_an_instance_type_that_does_not_exist(operator: Operator) -> None:
    (problem,) = operator.refused(lfs_client_vm_instance_type="r5.40xlarge", **ONE)
    assert "no usable zone of us-east-1 offers r5.40xlarge" in problem
    assert "set lfs_client_vm_instance_type to another type" in problem


@cloud_of(not_offered={"us-east-1a": ["r5.4xlarge"]})
def test_a_configured_zone_that_does_not_offer_a_type(operator: Operator) -> None:
    (problem,) = operator.refused(availability_zones=["us-east-1a", "us-east-1b"], **ONE)
    assert "the zone us-east-1a does not offer every instance type" in problem
    assert "lfs_client_vm_instance_type" in problem
    assert "us-east-1b" in problem


def test_a_zone_that_eks_does_not_support(operator: Operator) -> None:
    zones = client("ec2").describe_availability_zones()["AvailabilityZones"]
    barred = next(z["ZoneName"] for z in zones if z["ZoneId"] == "use1-az3")
    other = next(z["ZoneName"] for z in zones if z["ZoneId"] == "use1-az2")
    keys = only("create_eks_cluster")
    (problem,) = operator.refused(availability_zones=[barred, other], **keys)
    assert f"{barred} cannot be used: EKS does not support use1-az3" in problem


@pytest.mark.parametrize(
    ("settings", "what", "code"),
    [
        (Quotas(vcpus=64), "160 are needed and 0 are in use; us-east-1 allows 64", "L-1216C47A"),
        (Quotas(elastic_ips=0), "the quota of elastic IPs is too small", "L-0263D0A3"),
        (Quotas(vpcs=1), "1 are needed and 1 are in use", "L-F678F1CE"),
        (Quotas(internet_gateways=0), "internet gateways", "L-A4707A72"),
        (Quotas(nat_gateways_per_zone=0), "NAT gateways in a zone", "L-FE5A380F"),
        (Quotas(eks_clusters=0), "EKS clusters", "L-1194D53C"),
        (Quotas(auto_scaling_groups=2), "3 are needed and 0 are in use", "L-CDE20ADC"),
    ],
    indirect=["settings"],
)
def test_a_quota_that_is_too_small(operator: Operator, what: str, code: str) -> None:
    (problem,) = [line for line in operator.refused() if code in line]
    assert what in problem
    assert "aws service-quotas request-service-quota-increase" in problem


@pytest.mark.parametrize("settings", [Quotas(vcpus=24)], indirect=True)
def test_running_machines_count_against_the_quota(operator: Operator) -> None:
    client("ec2").run_instances(
        ImageId="ami-079ac4c46055b2bdf", InstanceType="r5.4xlarge", MinCount=1, MaxCount=1
    )
    (problem,) = operator.refused(**ONE)
    assert "16 are needed and 16 are in use; us-east-1 allows 24" in problem


def test_a_fixed_address_that_is_in_use(operator: Operator) -> None:
    assert operator.run("create", "--yes", **only())["exit_code"] == 0
    subnets = client("ec2").describe_subnets()["Subnets"]
    first = next(s["SubnetId"] for s in subnets if s["CidrBlock"] == "10.0.0.0/20")
    client("ec2").create_network_interface(SubnetId=first, PrivateIpAddress="10.0.4.113")
    (problem,) = operator.refused(**only("create_zookeeper_vms"))
    assert "the address 10.0.4.113 (zookeeper_private_ips) is in use: in vpc-" in problem
    assert "the network interface eni-" in problem


def test_a_fixed_address_outside_an_existing_subnet(operator: Operator) -> None:
    vpc = make_users_vpc(network="172.20", prefix=24).id
    keys = only("create_ndb_cluster")
    (problem,) = operator.refused(create_vpc=False, vpc_id=vpc, **keys)
    assert "the address 10.0.6.227 (ndb_manager_private_ip) is not in the public subnet" in problem
    assert "its range is 172.20.0.0/24" in problem


@cloud_of(
    deny=[DeniedPermission(action="ec2:RunInstances"), DeniedPermission(action="eks:CreateCluster")]
)
def test_missing_permissions_are_named(operator: Operator) -> None:
    of_cluster, of_launches = operator.refused()
    assert "permissions are missing" in of_cluster
    assert "user/rehearsal may not eks:CreateCluster" in of_cluster.replace("\n", "")
    assert "ndb manager, ndb data nodes 1, ndb data nodes 2, zookeeper" in of_launches
    assert "lack the permission ec2:RunInstances" in of_launches
    assert all("docs/permissions.md" in problem for problem in (of_cluster, of_launches))


@pytest.mark.kind("A3")
@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. User: ada is not authorized to "
            "perform: ec2:RunInstances with an explicit deny in a service control policy. Encoded "
            "authorization failure message: 4GhZ9x",
            "only your organisation's administrators",
        ),
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", "docs/"),
        ("OptInRequired", "In order to use this AWS Marketplace product", "sign-up"),
        ("PendingVerification", "Your request for accessing resources", "sign-up"),
        ("KMSKeyNotAccessibleException", "The KMS key is disabled", "default-kms-key"),
        (
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the role",
            "iam:CreateServiceLinkedRole",
        ),
        (
            "InvalidParameterCombination",
            "The specified instance type is not eligible for Free Tier. For a list of Free Tier "
            "instance types, run 'describe-instance-types'",
            "upgrade the account to the Paid plan",
        ),
    ],
)
def test_what_forbids_launches_is_known_before_the_first_write(
    operator: Operator, code: str, message: str, hint: str
) -> None:
    fault = {"fault": "fail", "code": code, "message": message, "action": "RunInstances"}
    operator.cloud.faults.add(fault)
    (problem,) = operator.refused(**only("create_zookeeper_vms", "create_lambda_fs_client_vm"))
    assert "EC2 would refuse to launch zookeeper, lambda-fs client" in problem
    assert hint in problem
    assert "4GhZ9x" not in problem
    # What EC2 cannot say without a network, and what passes, is no reason to stop.
    operator.cloud.faults.clear()
    operator.cloud.faults.add({**fault, "code": "MissingInput", "message": "Specify a subnet."})
    assert not [
        line for line in operator.warned(**only("create_zookeeper_vms")) if "subnet" in line
    ]


def test_offline_the_address_must_be_configured(operator: Operator) -> None:
    (problem,) = operator.refused(user_public_ip="DEFAULT_VALUE", **only())
    assert "your public address is not known" in problem
    assert "set user_public_ip" in problem


def test_a_private_address_cannot_reach_the_cluster(operator: Operator) -> None:
    (problem,) = operator.refused(user_public_ip="192.168.1.7", **only("create_eks_cluster"))
    assert "192.168.1.7 is not a public address" in problem
    warnings = operator.warned(user_public_ip="192.168.1.7", **only())
    assert any("192.168.1.7 is not a public address" in line for line in warnings)


def test_a_version_that_eks_no_longer_offers(operator: Operator) -> None:
    (problem,) = operator.refused(kubernetes_version="1.24", **only("create_eks_cluster"))
    assert "EKS does not offer Kubernetes 1.24: it offers 1.36, 1.35, 1.34" in problem
    assert "1.33 (extended support, $0.60/h)" in problem


@pytest.mark.parametrize(
    ("state", "why"),
    [("expired", "session has expired"), ("unknown", "does not know these credentials")],
)
def test_credentials_that_aws_rejects(operator: Operator, state: str, why: str) -> None:
    operator.cloud.settings = operator.cloud.settings.model_copy(update={"credentials": state})
    (problem,) = operator.refused(**ONE)
    assert why in problem


def test_credentials_of_another_account(operator: Operator) -> None:
    (problem,) = operator.refused(aws_account_id="999999999999", **ONE)
    assert "belong to another account" in problem


def test_a_misspelt_region_is_refused_before_the_first_call(operator: Operator) -> None:
    calls = len(operator.cloud.calls)
    ended = operator.run("create", "--yes", "--region", "us-esat-1", **ONE)
    assert (ended["exit_code"], ended["result"]) == (2, "refused")
    (problem,) = [one_line(problem) for problem in ended["problems"]]
    assert "there is no AWS region us-esat-1" in problem
    assert "set aws_region to one of us-east-1, us-east-2" in problem
    assert len(operator.cloud.calls) == calls


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps rights in another way")
def test_a_key_that_others_may_read_is_a_warning(operator: Operator) -> None:
    (operator.folder / "k.pem").chmod(0o644)
    (warning,) = [line for line in operator.warned(**ONE) if "others may read" in line]
    assert "chmod 600" in warning


@pytest.mark.parametrize("spot", [[], ["invokers"]])
def test_a_type_of_nodes_that_the_region_does_not_offer_is_refused(
    operator: Operator, spot: list[str]
) -> None:
    """Also one of Spot nodes, which configure launches when everything else is paid for."""
    kind = {"openwhisk_invoker_instance_type": "z9z.4xlarge"}
    (problem,) = operator.refused(**only("create_eks_cluster"), **kind, spot=spot)
    assert "no usable zone of us-east-1 offers z9z.4xlarge" in problem
    assert "openwhisk_invoker_instance_type" in problem


def test_more_nodes_than_a_node_group_may_have_are_refused(operator: Operator) -> None:
    keys = {**only("create_eks_cluster"), "num_openwhisk_invoker_vms": 451}
    problems = operator.refused(**keys)
    (problem,) = [it for it in problems if "nodes of a managed node group" in it]
    assert "451 are needed and 0 are in use; us-east-1 allows 450 (L-BD136A63)" in problem
