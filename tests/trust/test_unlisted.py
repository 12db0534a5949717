"""What a run could leave beside what AWS lists, and what it could do to Secrets, is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from tests.trust import unlisted
from tests.trust.client import aws_client


@pytest.fixture(scope="module")
def cloud() -> Iterator[RehearsalCloud]:
    """Yield a cloud with a network."""
    with serve(Settings(speed=0)) as made:
        ec2 = aws_client(made, "ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")
        yield made


def _lines(cloud: RehearsalCloud) -> list[str]:
    return sorted(f"{kind} {dict(shown)}" for kind, shown in unlisted.of_account(cloud))


def _subnet(ec2: Any) -> Any:
    return ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.0.1.0/24"]}])[
        "Subnets"
    ][0]


def _reserve(ec2: Any) -> None:
    subnet = _subnet(ec2)["SubnetId"]
    ec2.create_subnet_cidr_reservation(
        SubnetId=subnet, Cidr="10.0.1.77/32", ReservationType="explicit"
    )


def _change_acl(ec2: Any) -> None:
    mine = {"Name": "vpc-id", "Values": [_subnet(ec2)["VpcId"]]}
    [acl] = ec2.describe_network_acls(Filters=[mine])["NetworkAcls"]
    ec2.create_network_acl_entry(
        NetworkAclId=acl["NetworkAclId"],
        RuleNumber=7,
        Protocol="-1",
        RuleAction="deny",
        Egress=True,
        CidrBlock="0.0.0.0/0",
    )


def _image(ec2: Any) -> None:
    source = "ami-01d2cba66e4fe4e1e"
    ec2.copy_image(Name="copy", SourceImageId=source, SourceRegion="us-east-1")


def _gateway(ec2: Any) -> None:
    ec2.create_customer_gateway(Type="ipsec.1", PublicIp="1.2.3.4", BgpAsn=65000)


@pytest.mark.parametrize(
    ("leave", "seen"),
    [
        (_reserve, "reserved addresses"),
        (_change_acl, "network ACL"),
        (_image, "image"),
        (_gateway, "ec2 customer_gateways"),
    ],
)
def test_what_is_left_in_the_account_is_seen(
    cloud: RehearsalCloud, leave: Callable[[Any], None], seen: str
) -> None:
    before = _lines(cloud)
    leave(aws_client(cloud, "ec2"))
    more = [line for line in _lines(cloud) if line not in before]
    assert more
    assert any(line.startswith(seen) for line in more), more


def _world(**secrets: dict[str, str]) -> Any:
    objects = {
        ("secrets", "openwhisk", name.replace("_", "-")): {"type": "Opaque", "data": data}
        for name, data in secrets.items()
    }
    api = SimpleNamespace(state=SimpleNamespace(objects=objects))
    return SimpleNamespace(hooks=SimpleNamespace(apis={"cluster": api}))


def test_a_value_is_compared_and_a_drawn_one_must_stay() -> None:
    def shown(world: Any) -> list[str]:
        return [line["is"] for _, line in unlisted.secret_values(world)]

    plain, drawn = _world(mine={"a": "QQ=="}), _world(**{"owdev-nginx": {"tls.key": "QQ=="}})
    other = _world(**{"owdev-nginx": {"tls.key": "Qg=="}})
    assert shown(plain) == shown(_world(mine={"a": "QQ=="})) != shown(_world(mine={"a": "Qg=="}))
    assert shown(drawn) == shown(other) == ["new"]
    unlisted.remember(drawn)
    assert shown(drawn) == ["as it was"]
    assert shown(other) == ["new"], "it was drawn again"


@pytest.mark.parametrize(("key", "same"), [("Z3Vlc3Q6a2V5", True), ("Z3Vlc3Q6b3RoZXI=", False)])
def test_the_file_with_the_key_of_openwhisk_has_that_of_the_cluster(
    tmp_path: Path, key: str, same: bool
) -> None:
    (tmp_path / "infrastructure_json").mkdir()
    (tmp_path / "infrastructure_json" / "lambda-fs.wskprops").write_text("AUTH=guest:key\n")
    world = _world(**{"owdev-whisk.auth": {"guest": key}})
    [(_, shown)] = unlisted.credentials(world, tmp_path)
    assert shown == {"has the cluster's key": same}
