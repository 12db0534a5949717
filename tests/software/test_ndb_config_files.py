"""NDB's files, the sizes that depend on the instance type, `show`, and the evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.errors import Refused, SetupError
from aws_setup.software.ndb.config_files import (
    NdbSizing,
    config_ini,
    differences,
    my_cnf,
    nodes,
    parse,
    sizing,
)
from aws_setup.software.ndb.initial_start import (
    DataFiles,
    InitMarker,
    InitStage,
    NodeEvidence,
    initial_nodes,
    read_marker,
    stage_of,
)
from aws_setup.software.ndb.ndb_mgm import NodeState, parse_show

ORIGINAL = NdbSizing(16, "8G", "512M")

SHOW = """\
Connected to Management Server at: 10.0.6.227:1186
Cluster Configuration
---------------------
[ndbd(NDB)]\t4 node(s)
id=2\t@10.0.1.1  (mysql-8.0.26 ndb-8.0.26, Nodegroup: 0, *)
id=3\t@10.0.1.2  (mysql-8.0.26 ndb-8.0.26, starting, Nodegroup: 0)
id=4 (not connected, accepting connect from 10.0.1.3)
id=5\t@10.0.1.4  (mysql-8.0.26 ndb-8.0.26, not started)

[ndb_mgmd(MGM)]\t1 node(s)
id=1\t@10.0.6.227  (mysql-8.0.26 ndb-8.0.26)

[mysqld(API)]\t250 node(s)
id=6\t@10.0.6.227  (mysql-8.0.26 ndb-8.0.26)
id=7 (not connected, accepting connect from any host)
"""


def configured(**keys: Any) -> Config:
    return Config(ssh_keypair_name="key", ssh_key_path="/key", **keys)


@pytest.mark.parametrize(
    ("instance_type", "sizes"),
    [
        ("r5.4xlarge", ORIGINAL),
        ("r6i.8xlarge", NdbSizing(32, "16G", "1G")),
        ("m5.2xlarge", NdbSizing(8, "2G", "128M")),
        ("c5a.large", NdbSizing(2, "256M", "128M")),
        ("r5.xlarge", NdbSizing(4, "2G", "128M")),
    ],
)
def test_sizes_follow_the_instance_type(instance_type: str, sizes: NdbSizing) -> None:
    assert sizing(configured(ndb_datanode_instance_type=instance_type)) == sizes


def test_sizes_that_are_configured_override_and_suffice_for_any_type() -> None:
    keys = {"ndb_num_cpus": 4, "ndb_data_memory": "3G", "ndb_shared_global_memory": "300M"}
    chosen = sizing(configured(ndb_datanode_instance_type="x2iezn.metal", **keys))
    assert chosen == NdbSizing(4, "3G", "300M")
    with pytest.raises(Refused, match=r"x2iezn\.metal"):
        sizing(configured(ndb_datanode_instance_type="x2iezn.metal", ndb_num_cpus=4))


def test_config_ini_has_every_node_and_255_in_total() -> None:
    data_nodes = nodes(["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"])
    sections = parse(config_ini("10.0.6.227", data_nodes, ORIGINAL))
    names = [name for name, _ in sections]
    assert names.count("api") == 250
    assert len(names) - 1 == 255
    assert sections[0][1]["DataMemory"] == "8G"
    assert sections[0][1]["NumCPUs"] == "16"
    assert sections[0][1]["ServerPort"] == "11860"
    assert sections[1][1] == {
        "NodeId": "1",
        "HostName": "10.0.6.227",
        "DataDir": "/var/lib/mysql-cluster",
    }
    ids = [values["NodeId"] for name, values in sections if name == "ndbd"]
    assert ids == ["2", "3", "4", "5"]


def test_my_cnf_names_the_manager() -> None:
    assert "[mysql_cluster]\nndb-connectstring=10.0.6.227\n" in my_cnf("10.0.6.227")


def test_differences_name_values_and_data_nodes() -> None:
    before = config_ini("10.0.6.227", nodes(["a", "b"]), ORIGINAL)
    after = config_ini("10.0.6.227", nodes(["a", "b", "c", "d"]), NdbSizing(16, "9G", "512M"))
    assert differences(before, after) == {
        "DataMemory": ("8G", "9G"),
        "data nodes": ("a, b", "a, b, c, d"),
    }
    assert differences(after, after) == {}


def test_show_is_read_as_it_is_printed() -> None:
    cluster = parse_show(SHOW)
    assert [cluster.state(id) for id in (2, 3, 4, 5, 99)] == [
        NodeState.STARTED,
        NodeState.STARTING,
        NodeState.ABSENT,
        NodeState.STARTING,
        NodeState.ABSENT,
    ]
    assert cluster.application_at("10.0.6.227")
    assert not cluster.application_at("10.0.1.1")


def test_anything_else_is_not_taken_for_a_cluster_without_nodes() -> None:
    with pytest.raises(SetupError, match="no list of data nodes"):
        parse_show("Unable to connect with connect string: nodeid=0,10.0.6.227:1186\n")


@pytest.mark.kind("C8")
@pytest.mark.parametrize(
    "line", ["id=1" + " " * 400_000, "id=1 @" + "(" * 400_000, "id=1 (" * 60_000]
)
def test_a_long_line_of_show_is_read_in_one_pass(line: str) -> None:
    assert parse_show(f"{SHOW}\n{line}\n") == parse_show(SHOW)


def node(
    marker: InitMarker | None = None, files: DataFiles = DataFiles.NONE, *, running: bool = False
) -> NodeEvidence:
    return NodeEvidence("i-1", "node", marker, files, running)


BEGUN = InitMarker("c", "i-0", InitStage.BEGUN)
COMPLETE = InitMarker("c", "i-0", InitStage.COMPLETE)
COPYING = InitMarker("c", "i-0", InitStage.COMPLETE, copying=("i-1",))
MINE = InitMarker("c", "i-1", InitStage.BEGUN)


@pytest.mark.parametrize(
    ("manager", "found", "initial"),
    [
        (None, node(), True),
        (None, node(files=DataFiles.IMAGE), True),
        (BEGUN, node(), True),
        (BEGUN, node(MINE), True),
        (BEGUN, node(MINE, DataFiles.IMAGE), True),
        (BEGUN, node(MINE, DataFiles.WRITTEN), False),
        (BEGUN, node(MINE, running=True), False),
        (COMPLETE, node(MINE, DataFiles.WRITTEN), False),
        (COMPLETE, node(MINE), False),
        (COMPLETE, node(), True),
        (COMPLETE, node(files=DataFiles.IMAGE), True),
        (COPYING, node(files=DataFiles.WRITTEN, running=True), True),
        (COMPLETE, node(InitMarker(), DataFiles.WRITTEN), False),
        (None, node(MINE, DataFiles.WRITTEN), False),
        (InitMarker(), node(InitMarker(), DataFiles.WRITTEN), False),
    ],
)
def test_initial_only_where_nothing_can_be_lost(
    manager: InitMarker | None, found: NodeEvidence, initial: bool
) -> None:
    assert initial_nodes(manager, {2: found}) == (frozenset({2}) if initial else frozenset())


@pytest.mark.parametrize(
    ("manager", "found", "says"),
    [
        (None, node(files=DataFiles.WRITTEN), "did not create"),
        (None, node(running=True), "did not create"),
        (BEGUN, node(files=DataFiles.WRITTEN), "did not create"),
        (COMPLETE, node(files=DataFiles.WRITTEN), "did not create"),
        (COMPLETE, node(running=True), "did not create"),
        (
            COMPLETE,
            node(InitMarker("c", "i-9", InitStage.BEGUN), DataFiles.WRITTEN),
            "another machine",
        ),
        (
            COMPLETE,
            node(InitMarker("d", "i-1", InitStage.BEGUN), DataFiles.WRITTEN),
            "another NDB cluster",
        ),
    ],
)
def test_every_doubt_is_refused_with_a_fix(
    manager: InitMarker | None, found: NodeEvidence, says: str
) -> None:
    with pytest.raises(SetupError, match=says) as caught:
        initial_nodes(manager, {2: found})
    assert "sudo" in caught.value.problems[0].hint


def test_a_lost_manager_marker_is_replaced_by_those_of_the_data_nodes() -> None:
    assert stage_of(None, {2: node(MINE, DataFiles.WRITTEN)}) is InitStage.COMPLETE
    assert stage_of(None, {2: node()}) is InitStage.NEW


def test_markers_are_read_back_and_damaged_ones_refused() -> None:
    assert read_marker(COMPLETE.text()) == COMPLETE
    assert read_marker(COPYING.text()) == COPYING
    assert read_marker(None) is None
    assert read_marker("\n") == InitMarker()
    with pytest.raises(SetupError, match="damaged"):
        read_marker("{")


@pytest.mark.parametrize(
    ("source", "lost"),
    [(InitMarker("c", "i-2"), False), (None, True), (InitMarker("d", "i-2"), True)],
)
def test_an_image_of_another_data_node_is_no_obstacle_while_that_one_has_its_data(
    source: InitMarker | None, lost: bool
) -> None:
    copied = replace(node(InitMarker("c", "i-2"), DataFiles.IMAGE), machine="i-3")
    peer = replace(node(source, DataFiles.WRITTEN), machine="i-2", running=True)
    if not lost:
        assert initial_nodes(COMPLETE, {2: peer, 3: copied}) == frozenset({3})
        return
    with pytest.raises(SetupError, match=r"marker of another|did not create") as caught:
        initial_nodes(COMPLETE, {2: peer, 3: copied})
    assert "sudo" in caught.value.problems[0].hint
