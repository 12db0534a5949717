"""Key pairs and console output, against the EC2 user guide."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aws_setup.rehearsal.aws.ec2.instances import ConsoleOutput
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client, network, refused, run, tagged


@pytest.fixture
def ec2(cloud: RehearsalCloud) -> Any:
    return client("ec2")


def test_imported_rsa_key(ec2: Any) -> None:
    # EC2 user guide, "Verify the fingerprint of your key pair": MD5 of the public key in DER
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    openssh = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    made = ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=openssh)
    assert made["KeyFingerprint"].replace(":", "") == hashlib.md5(der).hexdigest()
    shown = ec2.describe_key_pairs(KeyNames=["mine"])["KeyPairs"][0]
    assert shown["KeyFingerprint"] == made["KeyFingerprint"]
    assert refused(ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=openssh) == (
        "InvalidKeyPair.Duplicate"
    )


def test_created_rsa_key(ec2: Any, tmp_path: Path) -> None:
    # the same page, with its own command: openssl pkcs8 … | openssl sha1 -c
    made = ec2.create_key_pair(KeyName="made", TagSpecifications=tagged("key-pair", owner="me"))
    pem = tmp_path / "made.pem"
    pem.write_text(made["KeyMaterial"])
    command = ["openssl", "pkcs8", "-in", str(pem), "-inform", "PEM", "-outform", "DER", "-topk8"]
    der = subprocess.run([*command, "-nocrypt"], capture_output=True, check=True).stdout
    assert made["KeyFingerprint"].replace(":", "") == hashlib.sha1(der).hexdigest()
    mine = [{"Name": "tag:owner", "Values": ["me"]}]
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs(Filters=mine)["KeyPairs"]] == [
        "made"
    ]


def test_ed25519_key(ec2: Any, tmp_path: Path) -> None:
    # the same page: the fingerprint is the one of ssh-keygen -l
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    public = path.with_suffix(".pub")
    command = ["ssh-keygen", "-lf", str(public)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    made = ec2.import_key_pair(KeyName="ed", PublicKeyMaterial=public.read_bytes())
    assert made["KeyFingerprint"].rstrip("=") == shown.split()[1].removeprefix("SHA256:")


def test_deleted_and_unknown_keys(ec2: Any) -> None:
    # DeleteKeyPair, DescribeKeyPairs: KeyPairIds
    made = ec2.create_key_pair(KeyName="made")
    pair = {"KeyPairId": made["KeyPairId"]}
    assert ec2.describe_key_pairs(KeyPairIds=[made["KeyPairId"]])["KeyPairs"]
    ec2.delete_key_pair(**pair)
    ec2.delete_key_pair(**pair)
    assert refused(ec2.describe_key_pairs, KeyNames=["made"]) == "InvalidKeyPair.NotFound"


def test_console_output(cloud: RehearsalCloud, ec2: Any) -> None:
    # EC2 user guide, "Instance console output"
    instance = run(ec2, network(ec2))["InstanceId"]
    assert "Output" not in ec2.get_console_output(InstanceId=instance)
    cloud.store_of(ConsoleOutput).read = lambda instance_id: f"boot of {instance_id}"
    raw = ec2.get_console_output(InstanceId=instance)["Output"]
    assert raw == f"boot of {instance}"
    assert refused(ec2.get_console_output, InstanceId="i-00000000") == "InvalidInstanceID.NotFound"
