"""Complete runs with a certificate of the user, and with an internal load balancer."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

import configure_eks_cluster
from aws_setup.cli.app import script_command
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import DeniedPermission
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from tests.scripts.test_configure import steps_of
from tests.support.aws import client
from tests.support.certificates import NOW, ec_key, issued, pem, write
from tests.support.cluster import Lab, LocalLoadBalancer, lab

pytestmark = pytest.mark.timeout(120)

ROOT, LEAF = ec_key(), ec_key()
AUTHORITY = issued("authority", ROOT)
SERVER = issued("whisk.example.com", LEAF, by=("authority", ROOT))
CERT_NOTE = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert"


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch, full=True) as made:
        yield made


def in_cluster(zoo: Lab) -> dict[str, str]:
    """Return the certificate and key that nginx reads."""
    data = zoo.api.state.require("secrets", "owdev-nginx", "openwhisk")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def balancer_certificates() -> set[str]:
    """Return the ARNs of the load balancers' certificates."""
    both = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    listeners = [item["Listener"] for one in both for item in one["ListenerDescriptions"]]
    return {item["SSLCertificateId"] for item in listeners if item.get("SSLCertificateId")}


def in_iam() -> list[Any]:
    return list(client("iam").list_server_certificates()["ServerCertificateMetadataList"])


def test_the_users_ec_certificate_is_used_everywhere_and_never_changed(zoo: Lab) -> None:
    cert, key = write(zoo.folder, SERVER + AUTHORITY, pem(LEAF))
    zoo.save(openwhisk_tls_cert=str(cert), openwhisk_tls_key=str(key))
    zoo.run("configure")
    (uploaded,) = in_iam()
    assert balancer_certificates() == {uploaded["Arn"]}
    name = uploaded["ServerCertificateName"]
    found = client("iam").get_server_certificate(ServerCertificateName=name)["ServerCertificate"]
    assert (found["CertificateBody"], found["CertificateChain"]) == (SERVER, AUTHORITY)
    assert in_cluster(zoo)["tls.crt"] == SERVER + AUTHORITY
    assert "BEGIN EC PRIVATE KEY" in in_cluster(zoo)["tls.key"]
    assert not (zoo.folder / "infrastructure_json" / "lambda-fs.tls.pem").exists()
    assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}

    replaced = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write(zoo.folder, issued("whisk.example.com", replaced), pem(replaced))
    zoo.run("configure")
    (new,) = in_iam()
    assert new["Arn"] != uploaded["Arn"]
    assert balancer_certificates() == {new["Arn"]}

    write(zoo.folder, issued("whisk.example.com", LEAF), pem(ec_key()))
    (problem,) = zoo.run("configure", code=2)["problems"]
    assert "openwhisk_tls_key" in problem["what"]
    assert balancer_certificates() == {new["Arn"]}

    zoo.run("destroy")
    assert in_iam() == []
    assert cert.exists()
    assert key.exists()


def imported(region: str, **more: Any) -> str:
    """Import a certificate into ACM and return its ARN."""
    certificate = issued("acm.example.com", LEAF, **more)
    request = {"Certificate": certificate.encode(), "PrivateKey": pem(LEAF).encode()}
    return str(client("acm", region).import_certificate(**request)["CertificateArn"])


def test_another_name_or_validity_is_a_new_certificate_everywhere(zoo: Lab) -> None:
    zoo.run("configure")
    (first,) = in_iam()
    zoo.save(openwhisk_tls_name="whisk.lab", openwhisk_tls_days=90)
    rows = steps_of(zoo.run("plan"))
    drift = str(rows["server certificate"]["drift"])
    assert "whisk.lab" in drift
    assert "90 days" in drift
    zoo.run("configure")
    (uploaded,) = in_iam()
    assert uploaded["Arn"] != first["Arn"]
    assert balancer_certificates() == {uploaded["Arn"]}
    made = x509.load_pem_x509_certificate(in_cluster(zoo)["tls.crt"].encode())
    assert made.subject.rfc4514_string() == "CN=whisk.lab"
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 90
    again = steps_of(zoo.run("configure"))
    assert {row["action"] for row in again.values()} == {"exists"}


def test_a_certificate_in_acm_is_used_and_never_changed(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        arn = imported("us-east-1")
        zoo.save(openwhisk_tls_arn=arn)
        result = steps_of(zoo.run("configure"))
        assert result["server certificate"]["id"] == arn
        service = zoo.api.state.require("services", "owdev-nginx", "openwhisk")
        assert service["metadata"]["annotations"][CERT_NOTE] == arn
        assert in_iam() == []
        assert "BEGIN CERTIFICATE" in in_cluster(zoo)["tls.crt"]
        state = steps_of(zoo.run("status"))["server certificate"]["state"]
        assert state.startswith("existing, ")
        assert state.endswith(" days left")
        assert pending_changes(zoo) == {}
        zoo.run("destroy")
        assert client("acm").describe_certificate(CertificateArn=arn)["Certificate"]["Status"]


def test_a_certificate_of_the_users_that_ends_soon_is_a_warning(zoo: Lab) -> None:
    soon = issued("whisk.example.com", LEAF, begins=NOW - timedelta(days=80), days=100)
    cert, key = write(zoo.folder, soon, pem(LEAF))
    zoo.save(openwhisk_tls_cert=str(cert), openwhisk_tls_key=str(key))
    zoo.run("configure")
    said = {one["what"]: one for one in zoo.run("plan")["warnings"]}
    (what,) = [one for one in said if one.startswith("the certificate of openwhisk_tls_cert has")]
    assert "replace the files of openwhisk_tls_cert" in said[what]["hint"]


def test_a_certificate_in_aws_that_cannot_be_used_is_refused(zoo: Lab) -> None:
    body = {"ServerCertificateName": "mine", "CertificateBody": SERVER, "PrivateKey": pem(LEAF)}
    mine = client("iam").upload_server_certificate(**body)["ServerCertificateMetadata"]["Arn"]
    old = imported("us-east-1", begins=NOW - timedelta(days=100), days=50)
    refused = {
        imported("eu-west-1"): "it is in eu-west-1",
        "arn:aws:acm:us-east-1:123456789012:certificate/nowhere": "does not exist",
        "arn:aws:iam::123456789012:server-certificate/nobody": "does not exist",
        "arn:aws:iam::210987654321:server-certificate/mine": "account 210987654321",
        mine.replace("/mine", "/below/mine"): f"its ARN in IAM is {mine}",
        old: "it expired on",
    }
    before = len(zoo.cloud.calls.writes())
    for arn, why in refused.items():
        zoo.save(openwhisk_tls_arn=arn)
        problems = zoo.run("configure", code=2)["problems"]
        (problem,) = [item for item in problems if "openwhisk_tls_arn" in item["what"]]
        assert why in problem["why"], problem
        assert problem["hint"]
    assert len(zoo.cloud.calls.writes()) == before
    zoo.save(openwhisk_tls_arn=mine)
    zoo.cloud.settings.deny.append(DeniedPermission(action="iam:GetServerCertificate"))
    warnings = [item["what"] for item in zoo.run("plan")["warnings"]]
    assert "openwhisk_tls_arn could not be checked" in warnings


@pytest.mark.kind("C1")
def test_an_internal_load_balancer_is_named_so_with_a_tunnel_command(zoo: Lab) -> None:
    zoo.save(openwhisk_internal=True)
    text = printed(zoo, "configure")
    (balancer,) = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    assert balancer["Scheme"] == "internal"
    assert f"internal-{balancer['LoadBalancerName']}" in text
    assert "The load balancer is internal. SSH tunnel: ssh -N" in text
    assert "OpenWhisk is reachable from the VPC only." in text
    host = steps_of(zoo.run("status"))["openwhisk address"]["id"]
    assert f"-L 8443:{host}:443 ubuntu@<address of a machine in the VPC>" in text
    assert "--tunnel cluster" in text
    result = steps_of(zoo.run("status"))
    assert result["openwhisk address"]["state"] == "internal: reachable from the VPC"
    assert result["openwhisk public address"]["state"] == "skipped: openwhisk_internal is True"
    assert result["openwhisk api"]["state"] == "internal: not probed"
    assert pending_changes(zoo) == {}

    zoo.save(openwhisk_internal=None)
    text = printed(zoo, "configure")
    assert schemes() == ["internal", "internet-facing"]
    assert "The load balancer is internal" not in text
    assert "OpenWhisk is reachable from 52.94.76.7/32 and the VPC." in text
    assert "2 healthy invokers" in text
    assert pending_changes(zoo) == {}

    zoo.save(openwhisk_internal=True)
    assert "openwhisk public address" in pending_changes(zoo)
    zoo.run("configure")
    assert schemes() == ["internal"]
    assert pending_changes(zoo) == {}
    assert zoo.run("destroy")["leftovers"] == []
    assert client("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []


@pytest.mark.kind("C1")
def test_a_public_load_balancer_of_the_charts_is_replaced_and_the_plan_says_so(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as zoo:
        zoo.run("configure")
        state, name = zoo.api.state, ("services", "owdev-nginx", "openwhisk")
        before = state.require(*name)
        uid, public = before["metadata"]["uid"], "a1-2.us-east-1.elb.amazonaws.com"

        def ensure(_: LocalLoadBalancer, service: KubeObject) -> str:
            return public if service["metadata"]["uid"] == uid else "localhost"

        monkeypatch.setattr(LocalLoadBalancer, "ensure_load_balancer", ensure)
        status = {"loadBalancer": {"ingress": [{"hostname": public}]}}
        state.set_status("services", before, status)
        (drift,) = [
            item
            for item in pending_changes(zoo)["openwhisk address"]
            if item["what"] == "load balancer"
        ]
        assert (drift["has"], drift["wants"]) == ("public", "internal, with another address")
        zoo.run("configure")
        assert state.require(*name)["metadata"]["uid"] != uid
        assert pending_changes(zoo) == {}


def test_the_tunnel_command_names_the_client_vm_where_it_exists(zoo: Lab) -> None:
    subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    tags = {"lambda-fs:deployment": "lambda-fs", "lambda-fs:step": "lambda-fs client"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    (vm,) = client("ec2").run_instances(
        ImageId="ami-079ac4c46055b2bdf",
        InstanceType="r5.xlarge",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
    )["Instances"]
    zoo.save(openwhisk_internal=True, configure_clients=False)
    ids = [vm["InstanceId"]]
    (found,) = client("ec2").describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
    assert f"ubuntu@{found['PublicIpAddress']}" in printed(zoo, "configure")


def schemes() -> list[str]:
    """Return whether each load balancer is internal."""
    listed = client("elb").describe_load_balancers()["LoadBalancerDescriptions"]
    return sorted(item["Scheme"] for item in listed)


def pending_changes(zoo: Lab) -> dict[str, Any]:
    """Return what another configure would still change, with its drift."""
    steps = zoo.run("plan")["steps"]
    return {step["name"]: step["drift"] for step in steps if step["action"] != "exists"}


def printed(zoo: Lab, verb: str) -> str:
    """Return what a run prints without --json, as one line."""
    command = script_command(configure_eks_cluster.SCRIPT, folder=zoo.folder)
    where = ["-y", str(zoo.folder / "config_aws.yaml"), "--yes"]
    done = CliRunner(env={"COLUMNS": "500"}).invoke(command, [verb, *where])
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())
