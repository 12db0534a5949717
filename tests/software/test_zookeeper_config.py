"""ZooKeeper's documents and answers as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.software.clients.namenode_record import NameNodeRecord, write_record
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import is_complete
from aws_setup.software.zookeeper.steps import needed_znodes


def test_zoo_cfg_names_every_member_from_0() -> None:
    lines = zk.zoo_cfg(["10.0.8.233", "10.0.4.113", "10.0.14.89"]).splitlines()
    assert lines[-3:] == [
        "server.0=10.0.8.233:2888:3888",
        "server.1=10.0.4.113:2888:3888",
        "server.2=10.0.14.89:2888:3888",
    ]
    assert {
        "tickTime=1000",
        "dataDir=/data/zookeeper",
        "dataLogDir=/disk2/zookeeper/logs",
        "clientPort=2181",
        "initLimit=5",
        "syncLimit=2",
        "admin.serverPort=8081",
        "autopurge.snapRetainCount=3",
        "autopurge.purgeInterval=24",
    } == set(lines[:-3])


def test_a_server_alone_is_no_ensemble() -> None:
    assert "server." not in zk.zoo_cfg(["10.0.8.233"]).replace("admin.server", "")


def test_every_member_has_its_own_id() -> None:
    addresses = ["10.0.0.5", "10.0.0.6", "10.0.0.7"]
    ids = [zk.files(addresses, index, heap=4000)[zk.MY_ID] for index in range(3)]
    assert ids == ["0\n", "1\n", "2\n"]


def test_the_heap_is_in_megabytes() -> None:
    text = zk.environment(12000)
    assert "ZK_SERVER_HEAP=12000\n" in text
    assert "ZK_CLIENT_HEAP=12000\n" in text
    assert '"-Xms12000m"' in text


def test_znodes_of_every_deployment_parents_first() -> None:
    made = zk.znodes(20)
    assert len(made) == 100
    assert made[:5] == [
        "/namenode0",
        "/namenode0/permanent",
        "/namenode0/guest",
        "/namenode0/ACK",
        "/namenode0/INV",
    ]
    assert made[-1] == "/namenode19/INV"


@pytest.mark.parametrize(
    ("configured", "recorded", "deployments"),
    [(2, 0, 20), (8, 8, 20), (20, 20, 20), (30, 2, 30), (2, 40, 40), (2, 10**9, 20)],
)
def test_there_are_znodes_for_the_numbers_of_the_image_and_of_this_deployment(
    tmp_path: Path, configured: int, recorded: int, deployments: int
) -> None:
    """A NameNode reads those of every deployment that its own configuration names."""
    config = Config(
        ssh_keypair_name="k",
        ssh_key_path="~/k.pem",
        infrastructure_json_path=str(tmp_path),
        num_namenode_deployments=configured,
    )
    if recorded:
        write_record(config, NameNodeRecord(deployments=recorded))
    assert needed_znodes(config) == zk.znodes(deployments)


def test_only_paths_are_taken_from_the_clients_output() -> None:
    output = (
        "Welcome to ZooKeeper!\n/\n/namenode0\n/namenode0/ACK \nlog4j: at /x.y(Z)\n[zk: 0] ls\n"
    )
    assert zk.listed(output) == {"/", "/namenode0", "/namenode0/ACK"}


@pytest.mark.parametrize(
    ("answer", "role"),
    [
        (None, None),
        (b"", zk.ServerRole()),
        (b"This ZooKeeper instance is not currently serving requests\n", zk.ServerRole()),
        (
            b"Zookeeper version: 3.8.0\nZxid: 0x500000000\nMode: follower\nNode count: 5\n",
            zk.ServerRole("follower"),
        ),
    ],
)
def test_the_answer_to_srvr(answer: bytes | None, role: zk.ServerRole | None) -> None:
    assert zk.parse_role(answer) == role


@pytest.mark.parametrize(
    ("modes", "complete"),
    [
        (["standalone"], True),
        (["leader", "follower", "follower"], True),
        (["leader", "leader", "follower"], False),
        (["leader", "follower", None], False),
        (["leader", "follower", ""], False),
        (["standalone", "standalone", "standalone"], False),
        ([], False),
    ],
)
def test_an_ensemble_is_complete_with_one_leader_and_only_followers(
    modes: list[str | None], complete: bool
) -> None:
    roles = {
        str(index): zk.ServerRole(mode) if mode is not None else None
        for index, mode in enumerate(modes)
    }
    assert is_complete(roles) is complete
