"""What moto does for each cloud or process, and no test or demo needs, is left out."""

from __future__ import annotations

from typing import Any

import botocore.loaders
import botocore.session
import pytest
from moto.utilities.utils import load_resource

from aws_setup.rehearsal.core.moto import backend, reset
from aws_setup.rehearsal.core.moto_offerings import FOLDER, Offerings
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import client


@pytest.mark.parametrize("kind", ["availability-zone", "availability-zone-id", "region"])
def test_the_offered_types_are_motos_of_each_region(cloud: RehearsalCloud, kind: str) -> None:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offered: Any = INSTANCE_TYPE_OFFERINGS[kind]
    assert isinstance(offered, Offerings), "moto was imported without install()"
    assert len(offered) == len(list(offered)) >= 30
    assert "eu-west-1" in offered
    assert offered.get("mars-1", []) == []
    rows = load_resource(f"ec2/resources/{FOLDER}/{kind}/ap-east-1.json.gz")
    assert rows
    assert offered["ap-east-1"] == [row | {"LocationType": kind} for row in rows]


def test_all_sessions_share_what_is_read_of_botocores_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(botocore.session, "create_loader", botocore.loaders.create_loader)
    reset()
    endpoints = [
        botocore.session.Session().get_component("data_loader").load_data("endpoints")
        for _ in range(2)
    ]
    assert endpoints[0] is endpoints[1]


def test_types_and_what_is_offered_of_them_are_filtered_as_moto_does(cloud: RehearsalCloud) -> None:
    from moto.ec2.models import instance_types as moto_types

    ec2 = backend("ec2", "us-east-1")
    of_zone, kind = {"location": ["us-east-1a"]}, "availability-zone"
    zones: Any = moto_types.INSTANCE_TYPE_OFFERINGS[kind]
    for filters in (of_zone, {"instance-type": ["t3.micro", "r5.xlarge", "x9.none"]}):
        for both in (filters, filters | of_zone):
            found = ec2.describe_instance_type_offerings(kind, both)
            rows = zones["us-east-1"]
            expected = [row for row in rows if ec2.matches_filters(row, both, kind)]
            assert found
            assert sorted(map(str, found)) == sorted(map(str, expected))
    every = moto_types.InstanceTypeBackend.instance_types
    for names in (["t3.micro", "r5.xlarge"], ["t3.*"], ["x9.none"]):
        filters = {"instance-type": names, "current-generation": ["true"]}
        types = ec2.describe_instance_types(filters=filters)
        wanted = moto_types.generic_filter(filters, every)
        assert sorted(map(str, types)) == sorted(map(str, wanted))
        assert bool(types) == (names != ["x9.none"])


def test_the_key_of_the_disks_is_symmetric(cloud: RehearsalCloud) -> None:
    ec2 = client("ec2")
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, Encrypted=True)
    assert made["Encrypted"]
    kms = backend("kms", "us-east-1")
    keys = [*kms.keys.values(), kms.create_key(None, "SIGN_VERIFY", "ECC_NIST_P256", "x", None)]
    specs = {key.key_spec: key.private_key is None for key in keys}
    assert specs == {"SYMMETRIC_DEFAULT": True, "ECC_NIST_P256": False}
