"""The NDB steps on fake machines: what they find, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aws_setup.aws.context import Context
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError
from aws_setup.software.ndb.cluster import (
    RESTART_LIST,
    NdbCluster,
    log_tail,
    pending_restarts,
    rolling_restart,
    schedule_restarts,
)
from aws_setup.software.ndb.config_files import CONFIG_INI, MY_CNF
from aws_setup.software.ndb.data_nodes import DataNodes
from aws_setup.software.ndb.initial_start import MANAGER_MARKER, InitMarker, InitStage
from aws_setup.software.ndb.management_server import ManagementServer
from aws_setup.software.ndb.mysqld import MysqlServer
from tests.support.fake_machines import FakeMachine, FakePool, fake_context

COMPLETE = InitMarker("c", "i-manager", InitStage.COMPLETE).text()


class Cluster:
    """A manager and two data nodes; `states` are those of `ndb_mgm -e show`, None while down."""

    def __init__(self, folder: Path, **keys: int | str) -> None:
        self.states: list[str] | None = ["Nodegroup: 0, *", "Nodegroup: 0"]
        self.processes = {"node1", "node2", "mysqld"}
        self.api_connected = True
        self.manager = FakeMachine("manager", answer=self._answer("manager"))
        self.nodes = [FakeMachine(name, answer=self._answer(name)) for name in ("node1", "node2")]
        groups = {
            "ndb manager": [self.manager],
            "ndb data nodes 1": self.nodes[:1],
            "ndb data nodes 2": self.nodes[1:],
        }
        self.ctx: Context = fake_context(folder, groups, **{"num_ndb_datanodes": 2} | keys)
        self.pool = FakePool(self.ctx.config, [self.manager, *self.nodes])
        self.handle = NdbCluster(self.ctx, self.pool)
        self.manager.files[MANAGER_MARKER] = COMPLETE
        self.manager.files |= self.handle.config_files()

    def _answer(self, name: str) -> Callable[[str, str], tuple[int, str]]:
        def answer(command: str, _stdin: str) -> tuple[int, str]:
            if "mysqladmin" in command:
                return (0 if "mysqld" in self.processes else 1), ""
            if command.endswith("ndb_mgmd"):
                return 0, "no" if self.states is None else "yes"
            if command.endswith("ndbmtd"):
                return 0, "yes" if name in self.processes else "no"
            if command.endswith("show"):
                return 0, self._show()
            if command.startswith("tail"):
                return 0, "Message: Unable to lock memory (Configuration error)\n"
            return 0, ""

        return answer

    def _show(self) -> str:
        lines = ["[ndbd(NDB)]\t2 node(s)"]
        for index, state in enumerate(self.states or []):
            address = self.nodes[index].private_ip
            known = f"@{address}  (mysql-8.0.26 ndb-8.0.26, {state})"
            lines.append(f"id={index + 2}\t{known if state else ' (not connected)'}")
        lines.append("[mysqld(API)]\t1 node(s)")
        if self.api_connected:
            lines.append(f"id=4\t@{self.manager.private_ip}  (mysql-8.0.26 ndb-8.0.26)")
        return "\n".join(lines) + "\n"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_pending_restarts_are_recorded_and_deleted(cluster: Cluster) -> None:
    assert pending_restarts(cluster.handle) == []
    schedule_restarts(cluster.handle, {3, 2})
    assert pending_restarts(cluster.handle) == [2, 3]
    schedule_restarts(cluster.handle, [])
    assert RESTART_LIST not in cluster.manager.files


def test_a_rolling_restart_restarts_each_recorded_node_once(cluster: Cluster) -> None:
    schedule_restarts(cluster.handle, [2, 3])
    rolling_restart(cluster.ctx, cluster.handle)
    restarts = [line for line in cluster.manager.commands if line.endswith("restart")]
    assert [line.rsplit("-e ")[1] for line in restarts] == ["2 restart", "3 restart"]
    assert pending_restarts(cluster.handle) == []


def test_the_log_line_with_the_message_is_shown(cluster: Cluster) -> None:
    assert log_tail(2, cluster.nodes[0]).startswith("Message: Unable to lock memory")
    silent = FakeMachine("silent")
    assert log_tail(2, silent) == "its logs in /usr/local/mysql/data contain no error"


def test_a_cluster_as_configured_has_no_drift(cluster: Cluster) -> None:
    found = ManagementServer(cluster.pool).find(cluster.ctx)
    assert found
    assert (found.state, found.drift) == ("running", ())


@pytest.mark.parametrize(
    ("keys", "what", "conflict"),
    [
        ({"ndb_data_memory": "12G"}, "DataMemory", False),
        ({"ndb_num_cpus": 3}, "NumCPUs", True),
    ],
)
def test_what_a_restart_cannot_change_is_a_conflict(
    tmp_path: Path, keys: dict[str, int | str], what: str, conflict: bool
) -> None:
    before = Cluster(tmp_path).manager.files
    cluster = Cluster(tmp_path, **keys)
    cluster.manager.files = before
    found = ManagementServer(cluster.pool).find(cluster.ctx)
    assert found
    assert [(drift.what, bool(drift.fix)) for drift in found.drift] == [(what, conflict)]


def test_another_type_is_refused_with_the_key_that_keeps_the_cpus_and_works(tmp_path: Path) -> None:
    """NumCPUs follows the type: no key has the value that would have to be restored."""
    before = Cluster(tmp_path).manager.files
    cluster = Cluster(tmp_path, ndb_datanode_instance_type="r5.8xlarge")
    cluster.manager.files = before
    found = ManagementServer(cluster.pool).find(cluster.ctx)
    assert found
    (conflict,) = [drift for drift in found.drift if drift.fix]
    assert (conflict.what, conflict.has, conflict.wants) == ("NumCPUs", "16", "32")
    assert conflict.fix.startswith("set ndb_num_cpus: 16: ")
    kept = Cluster(tmp_path, ndb_datanode_instance_type="r5.8xlarge", ndb_num_cpus=16)
    kept.manager.files = before
    found = ManagementServer(kept.pool).find(kept.ctx)
    assert found
    assert not [drift for drift in found.drift if drift.fix]
    assert not kept.ctx.warnings, "more memory is no danger"


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ({}, ["DataMemory of the NDB data nodes becomes 4G, it was 8G", "SharedGlobalMemory"]),
        ({"ndb_data_memory": "8G"}, ["SharedGlobalMemory"]),
        ({"ndb_data_memory": "4G", "ndb_shared_global_memory": "512M"}, []),
    ],
)
def test_a_type_with_less_memory_is_warned_about_unless_a_key_says_so(
    tmp_path: Path, keys: dict[str, int | str], warned: list[str]
) -> None:
    before = Cluster(tmp_path).manager.files
    cluster = Cluster(tmp_path, ndb_datanode_instance_type="m5.4xlarge", **keys)
    cluster.manager.files = before
    assert ManagementServer(cluster.pool).find(cluster.ctx)
    warnings = list(cluster.ctx.warnings.values())
    assert [one.what[: len(text)] for one, text in zip(warnings, warned, strict=True)] == warned
    assert all("ndb_" in one.hint and "memoryusage" in one.hint for one in warnings)


def test_files_that_differ_in_text_only_are_drift(cluster: Cluster) -> None:
    cluster.manager.files[CONFIG_INI] += "# by hand\n"
    cluster.manager.files[MY_CNF] = ""
    found = ManagementServer(cluster.pool).find(cluster.ctx)
    assert found
    assert [drift.what for drift in found.drift] == ["config.ini", "my.cnf"]


def test_the_data_nodes_that_are_not_connected_are_drift(cluster: Cluster) -> None:
    cluster.ctx.found["ndb management server"] = Found("i-manager", "running")
    cluster.states = ["Nodegroup: 0, *", ""]
    found = DataNodes(cluster.pool).find(cluster.ctx)
    assert found
    assert found.state == "1 of 2 started"
    assert not found.ready
    assert [drift.what for drift in found.drift] == ["data node node2"]


def test_a_data_node_without_a_process_ends_the_wait_with_its_log(cluster: Cluster) -> None:
    cluster.states = ["Nodegroup: 0, *", ""]
    cluster.processes.remove("node2")
    with pytest.raises(SetupError) as caught:
        DataNodes(cluster.pool).wait(cluster.ctx, Found("i-node1, i-node2", "starting"))
    (problem,) = caught.value.problems
    assert problem.what == "NDB data node node2 (id 3) did not start"
    assert "Unable to lock memory" in problem.why


def test_a_management_server_that_exits_ends_the_wait(cluster: Cluster) -> None:
    cluster.states = None
    with pytest.raises(SetupError, match="ndb_mgmd is not running on manager"):
        DataNodes(cluster.pool).wait(cluster.ctx, Found("i-node1, i-node2", "starting"))


@pytest.mark.parametrize(
    ("process", "connected", "state", "drift", "ready"),
    [
        (True, True, "running", 0, True),
        (True, False, "not connected to NDB", 0, False),
        (False, False, "down", 1, False),
    ],
)
def test_mysqld_is_ready_when_it_is_connected(
    cluster: Cluster, process: bool, connected: bool, state: str, drift: int, ready: bool
) -> None:
    cluster.ctx.found["ndb storage"] = Found("i-node1, i-node2", "2 of 2 started")
    if not process:
        cluster.processes.remove("mysqld")
    cluster.api_connected = connected
    found = MysqlServer(cluster.pool).find(cluster.ctx)
    assert found
    assert (found.state, len(found.drift), found.ready) == (state, drift, ready)
