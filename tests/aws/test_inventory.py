"""The table of resource kinds: the command that deletes each, chosen by kind or id."""

from __future__ import annotations

import pytest

from aws_setup.aws.inventory import KINDS, delete_command
from aws_setup.aws.pricing import TABLE


@pytest.mark.parametrize(
    ("resource_id", "kind", "command"),
    [
        ("vpc-1", "", "aws ec2 delete-vpc --vpc-id vpc-1"),
        ("i-1", "", "aws ec2 terminate-instances --instance-ids i-1"),
        ("vol-1", "", "aws ec2 delete-volume --volume-id vol-1"),
        ("my-cluster", "eks cluster", "aws eks delete-cluster --name my-cluster"),
        (
            "clients_ags",
            "auto-scaling groups",
            "aws autoscaling delete-auto-scaling-group --force-delete "
            "--auto-scaling-group-name clients_ags",
        ),
        ("arn:aws:iam::1:oidc-provider/x", "oidc provider", "run destroy again"),
        ("vpc-cni", "vpc-cni add-on", "run destroy again"),
    ],
)
def test_the_command_that_deletes_a_resource(resource_id: str, kind: str, command: str) -> None:
    assert delete_command(resource_id, kind=kind) == command


def test_every_tagged_kind_has_a_command_and_every_price_is_in_the_table() -> None:
    assert [kind.name for kind in KINDS if kind.id_field and not kind.delete] == []
    assert {kind.price for kind in KINDS if kind.price} <= set(TABLE)
    assert {kind.title for kind in KINDS} >= {"vpc", "address", "auto-scaling group", "eks cluster"}
