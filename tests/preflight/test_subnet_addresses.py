"""Addresses of the subnets of a VPC of one's own, which can be made larger before create only."""

from __future__ import annotations

from typing import Any

from tests.support.aws import client
from tests.support.preflight import Operator, only

SMALL_PRIVATE = ["10.0.128.0/28", "10.0.128.16/28"]
"""22 free addresses; 11 nodes of λFS's paper take 570 and the cluster's interfaces 12."""

SMALL_PUBLIC = ["10.0.0.0/28", "10.0.0.16/28"]


def test_private_subnets_too_small_for_nodes_and_pods_are_refused_before_a_write(
    operator: Operator,
) -> None:
    keys: dict[str, Any] = {**only("create_eks_cluster"), "private_subnet_cidrs": SMALL_PRIVATE}
    (problem,) = operator.refused(**keys)
    assert "private subnet 1 10.0.128.0/28" in problem
    assert "22 addresses are free" in problem
    assert "take 582" in problem
    assert "set wider ranges in private_subnet_cidrs" in problem
    wide = ["10.0.128.0/23", "10.0.130.0/23"]
    assert operator.run("plan", **(keys | {"private_subnet_cidrs": wide}))["exit_code"] == 0


def test_a_public_subnet_too_small_for_the_machines_is_refused_before_a_write(
    operator: Operator,
) -> None:
    """11 addresses, of which the NAT gateway takes one."""
    machines = {"num_ndb_datanodes": 8, "zookeeper_private_ips": ["10.0.0.5"]}
    keys = {**only("create_ndb_cluster"), **machines, "ndb_manager_private_ip": "10.0.0.4"}
    fits = operator.run("plan", **keys, public_subnet_cidrs=SMALL_PUBLIC)
    assert fits["exit_code"] == 0, fits["problems"]
    keys["num_ndb_datanodes"] = 10
    (problem,) = operator.refused(**keys, public_subnet_cidrs=SMALL_PUBLIC)
    assert "the public subnet 1 10.0.0.0/28: 11 addresses are free" in problem
    assert "take 12" in problem
    assert "public_subnet_cidrs" in problem


def test_a_subnet_that_exists_is_asked_for_its_free_addresses(operator: Operator) -> None:
    """Growing a deployment in it launches machines that would find none."""
    keys: dict[str, Any] = {**only("create_ndb_cluster"), "public_subnet_cidrs": SMALL_PUBLIC}
    keys |= {"ndb_manager_private_ip": "10.0.0.4"}
    made = operator.run("create", "--yes", **keys, num_ndb_datanodes=2)
    assert made["exit_code"] == 0, made["problems"]
    again = operator.run("plan", **keys, num_ndb_datanodes=2)
    assert {row["action"] for row in again["steps"]} == {"exists"}
    (found,) = [
        it
        for it in client("ec2").describe_subnets()["Subnets"]
        if it["CidrBlock"] == SMALL_PUBLIC[0]
    ]
    grown = operator.refused(**keys, num_ndb_datanodes=12)
    (problem,) = [it for it in grown if found["SubnetId"] in it]
    assert f"{found['AvailableIpAddressCount']} addresses are free" in problem
    assert "run destroy, set wider ranges in public_subnet_cidrs" in problem
