"""IAM of the rehearsal cloud, against AWS's documented behaviour.

Pages: IAM API reference (API_AttachRolePolicy, API_DeleteRole, API_SimulatePrincipalPolicy,
API_UploadServerCertificate, API_DeleteServerCertificate, API_CreateOpenIDConnectProvider); IAM
user guide (troubleshoot, "Changes that I make are not always immediately visible").
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aws_setup.infrastructure import iam_policies as product_iam
from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import DeniedPermission, Settings
from tests.support.aws import client, refused
from tests.support.eks import POLICY, advance, make, role, trust

KEY = ec.generate_private_key(ec.SECP256R1())
ME = "arn:aws:iam::123456789012:user/rehearsal"
DAY = datetime.timedelta(days=1)


@pytest.fixture
def iam(cloud: RehearsalCloud) -> Any:
    return client("iam")


@pytest.fixture
def lagging(monkeypatch: pytest.MonkeyPatch) -> Iterator[RehearsalCloud]:
    """A cloud with delayed IAM, on a manual clock."""
    with serve(Settings(lag=True), clock=ManualClock()) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def pem(key: ec.EllipticCurvePrivateKey = KEY) -> str:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*form, serialization.NoEncryption()).decode()


def certificate(first: datetime.timedelta = -DAY, last: datetime.timedelta = DAY) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "openwhisk")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now + first)
        .not_valid_after(now + last)
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def upload(iam: Any, **more: Any) -> dict[str, Any]:
    request = {
        "ServerCertificateName": "zoo",
        "CertificateBody": certificate(),
        "PrivateKey": pem(),
    }
    return dict(iam.upload_server_certificate(**(request | more))["ServerCertificateMetadata"])


def test_only_aws_policies_that_exist(iam: Any) -> None:
    """API_AttachRolePolicy, NoSuchEntity; AWS managed policy reference for the ARNs."""
    role("r", "ec2.amazonaws.com")
    for name in (
        "AmazonEKSClusterPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEBSCSIDriverPolicyV2",
        "service-role/AmazonEBSCSIDriverPolicy",
    ):
        iam.attach_role_policy(RoleName="r", PolicyArn=POLICY + name)
    for name in (
        "AmazonEKSCluster",
        "AmazonEBSCSIDriverPolicy",
        "service-role/AmazonEKSClusterPolicy",
    ):
        code = refused(iam.attach_role_policy, RoleName="r", PolicyArn=POLICY + name)
        assert code == "NoSuchEntity"


def test_a_role_in_use_is_not_deleted(iam: Any) -> None:
    """API_DeleteRole: DeleteConflict while policies or instance profiles hold it."""
    role("r", "ec2.amazonaws.com", "AmazonEKSWorkerNodePolicy")
    assert refused(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust("a")) == (
        "EntityAlreadyExists"
    )
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    document |= {"Version": "2012-10-17"}  # type: ignore[dict-item]  # JSON of two shapes
    iam.put_role_policy(RoleName="r", PolicyName="own", PolicyDocument=json.dumps(document))
    assert refused(iam.delete_role, RoleName="r") == "DeleteConflict"
    assert refused(iam.delete_instance_profile, InstanceProfileName="p") == "DeleteConflict"
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="r")
    assert refused(iam.delete_role, RoleName="r") == "DeleteConflict"
    iam.detach_role_policy(RoleName="r", PolicyArn=POLICY + "AmazonEKSWorkerNodePolicy")
    assert refused(iam.delete_role, RoleName="r") == "DeleteConflict"
    iam.delete_role_policy(RoleName="r", PolicyName="own")
    iam.delete_role(RoleName="r")
    assert refused(iam.delete_role, RoleName="r") == "NoSuchEntity"


def test_simulation_uses_the_deny_list(cloud: RehearsalCloud, iam: Any) -> None:
    """API_SimulatePrincipalPolicy: EvalDecision per action; sessions are no valid source."""
    cloud.settings.deny.append(DeniedPermission(action="ec2:Run*"))
    found = iam.simulate_principal_policy(
        PolicySourceArn=ME, ActionNames=["ec2:RunInstances", "eks:CreateCluster"]
    )["EvaluationResults"]
    assert {item["EvalActionName"]: item["EvalDecision"] for item in found} == {
        "ec2:RunInstances": "implicitDeny",
        "eks:CreateCluster": "allowed",
    }
    ghost = "arn:aws:iam::123456789012:role/ghost"
    asked = {"ActionNames": ["ec2:RunInstances"]}
    assert refused(iam.simulate_principal_policy, PolicySourceArn=ghost, **asked) == "NoSuchEntity"
    session = "arn:aws:sts::123456789012:assumed-role/r/me"
    code = refused(iam.simulate_principal_policy, PolicySourceArn=session, **asked)
    assert code == "InvalidInput"


def test_eks_sees_a_new_role_late(lagging: RehearsalCloud) -> None:
    """troubleshoot, eventual consistency: role, then its policy, are not seen at once."""
    environment = make()
    late = {"roleArn": role("late", "eks.amazonaws.com")}
    advance(lagging, 8)
    late_policy = POLICY + "AmazonEKSClusterPolicy"
    client("iam").attach_role_policy(RoleName="late", PolicyArn=late_policy)

    def why(**more: Any) -> str:
        with pytest.raises(ClientError) as caught:
            environment.cluster(**more)
        return str(caught.value.response["Error"]["Message"])

    assert "doesn't have the Amazon EKS Managed Policies" in why(**late)
    advance(lagging, 8)
    assert environment.cluster(**late)["status"] == "CREATING"
    fresh = role("fresh", "eks.amazonaws.com", "AmazonEKSClusterPolicy")
    assert "could not be assumed because it does not exist" in why(name="two", roleArn=fresh)


def test_ec2_sees_a_new_instance_profile_late(lagging: RehearsalCloud) -> None:
    """EC2 user guide, iam-roles-for-amazon-ec2: Invalid IAM Instance Profile name."""
    environment, iam, ec2 = make(), client("iam"), client("ec2")
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="node-role")
    request = {
        "ImageId": "ami-079ac4c46055b2bdf",
        "InstanceType": "r5.xlarge",
        "SubnetId": environment.subnets[0],
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": "p"},
    }
    with pytest.raises(ClientError, match="Invalid IAM Instance Profile name"):
        ec2.run_instances(**request)
    advance(lagging, 8)
    assert ec2.run_instances(**request)["Instances"][0]["IamInstanceProfile"]


def test_oidc_providers(iam: Any) -> None:
    """API_CreateOpenIDConnectProvider: thumbprints are optional, one provider for a URL."""
    url = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
    ask = {"Url": url, "ClientIDList": ["sts.amazonaws.com"], "Tags": [{"Key": "a", "Value": "b"}]}
    arn = iam.create_open_id_connect_provider(**ask)["OpenIDConnectProviderArn"]
    assert arn.endswith(":oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC")
    assert refused(iam.create_open_id_connect_provider, **ask) == "EntityAlreadyExists"
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert found["ClientIDList"] == ["sts.amazonaws.com"]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    missing = refused(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)
    assert missing == "NoSuchEntity"


def test_a_server_certificate(iam: Any) -> None:
    """API_UploadServerCertificate, get, list and delete."""
    made = upload(iam, Tags=[{"Key": "a", "Value": "b"}])
    assert made["Arn"] == "arn:aws:iam::123456789012:server-certificate/zoo"
    assert made["Expiration"] > datetime.datetime.now(datetime.UTC)
    with pytest.raises(ClientError) as caught:
        upload(iam)
    assert caught.value.response["Error"]["Code"] == "EntityAlreadyExists"
    found = iam.get_server_certificate(ServerCertificateName="zoo")["ServerCertificate"]
    assert found["ServerCertificateMetadata"] == made
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]
    listed = iam.list_server_certificates()["ServerCertificateMetadataList"]
    assert [item["ServerCertificateName"] for item in listed] == ["zoo"]
    iam.delete_server_certificate(ServerCertificateName="zoo")
    for call in (iam.delete_server_certificate, iam.get_server_certificate):
        assert refused(call, ServerCertificateName="zoo") == "NoSuchEntity"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"CertificateBody": "garbage"}, "MalformedCertificate"),
        ({"PrivateKey": "garbage"}, "MalformedCertificate"),
        ({"CertificateChain": "garbage"}, "MalformedCertificate"),
        ({"CertificateBody": certificate(-2 * DAY, -DAY)}, "MalformedCertificate"),
        ({"CertificateBody": certificate(DAY, 2 * DAY)}, "MalformedCertificate"),
        ({"PrivateKey": pem(ec.generate_private_key(ec.SECP256R1()))}, "KeyPairMismatch"),
    ],
)
def test_rejected_certificates(iam: Any, change: dict[str, str], code: str) -> None:
    """API_UploadServerCertificate, Errors: MalformedCertificate, KeyPairMismatch."""
    with pytest.raises(ClientError) as caught:
        upload(iam, **change)
    assert caught.value.response["Error"]["Code"] == code
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []


def test_the_policies_that_the_scripts_attach_exist(cloud: RehearsalCloud, iam: Any) -> None:
    """AWS managed policy reference: the second version of the EBS policy has no path."""
    role("r", "ec2.amazonaws.com")
    for name in product_iam.EBS_POLICIES:
        iam.attach_role_policy(RoleName="r", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
