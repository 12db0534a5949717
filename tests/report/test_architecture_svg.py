"""The architecture diagram shows what the step table contains."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from aws_setup.config import Config
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.report import architecture_svg
from tests.support.config import SAMPLE

SVG = "{http://www.w3.org/2000/svg}"


def drawn(**keys: Any) -> ElementTree.Element:
    """Return the diagram of a configuration, parsed."""
    config = Config.model_validate({"ssh_keypair_name": "k", "ssh_key_path": "k.pem"} | keys)
    return ElementTree.fromstring(architecture_svg.architecture(config))


def texts(image: ElementTree.Element) -> str:
    """Return the texts of the diagram, one line each."""
    return "\n".join(element.text or "" for element in image.iter(f"{SVG}text"))


def test_it_names_everything() -> None:
    shown = texts(drawn())
    config = SAMPLE
    expected = [config.vpc_name, config.vpc_cidr, "NAT gateway", "internet gateway", "zone 1"]
    expected += [*config.public_subnet_cidrs, *config.private_subnet_cidrs]
    expected += [config.eks_cluster_name, "core-nodes × 3", "invoker-nodes × 8"]
    expected += ["lambda_fs_clients_ags", "hopsfs_clients_ags", "hopsfs_namenodes_ags"]
    for group in vm_groups(config):
        expected += [group.title, *map(str, group.addresses)]
    assert [text for text in expected if text not in shown] == []


@pytest.mark.parametrize(
    ("disabled", "missing"),
    [
        ({"create_eks_cluster": False}, ["EKS cluster", "core-nodes"]),
        ({"create_zookeeper_vms": False}, ["zookeeper", "10.0.8.233"]),
        ({"create_ndb_cluster": False}, ["ndb"]),
        ({"create_autoscaling_groups": False}, ["_ags", "auto-scaling"]),
        ({"create_vpc": False}, ["NAT gateway", "internet gateway", "10.0.0.0/"]),
    ],
)
def test_disabled_steps_are_not_shown(disabled: dict[str, Any], missing: list[str]) -> None:
    shown, complete = texts(drawn(**disabled)), texts(drawn())
    for text in missing:
        assert text in complete
        assert text not in shown


def test_names_are_escaped() -> None:
    assert "VPC <&\"'> (10.0.0.0/16)" in texts(drawn(vpc_name="<&\"'>"))


def test_every_box_stays_on_the_page_and_within_its_height() -> None:
    for keys in ({}, {"create_eks_cluster": False}, {"create_ndb_cluster": False}):
        image = drawn(**keys)
        width, height = int(image.attrib["width"]), int(image.attrib["height"])
        for box in image.iter(f"{SVG}rect"):
            x, y = int(box.get("x", "0")), int(box.get("y", "0"))
            assert x + int(box.attrib["width"]) <= width
            assert y + int(box.attrib["height"]) <= height


def test_many_fixed_addresses_do_not_leave_their_box() -> None:
    addresses = [f"10.0.1.{last}" for last in range(10, 17)]
    shown = texts(drawn(num_lambda_fs_zk_vms=7, zookeeper_private_ips=addresses))
    assert "10.0.1.13, …" in shown
    assert "10.0.1.14" not in shown


def test_dark_and_light_colours() -> None:
    style = drawn().findtext(f"{SVG}style")
    assert style
    assert "prefers-color-scheme: dark" in style
