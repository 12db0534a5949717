"""What the checks of machines and services say of what they have read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.eks.node_launch_template import NodeGroupSpec
from aws_setup.errors import SetupError
from aws_setup.namenodes.action import CurrentAction
from aws_setup.openwhisk import existing_certificate
from aws_setup.rehearsal.environment import write_scripts
from aws_setup.software.ndb.ndb_mgm import parse_show
from aws_setup.software.zookeeper.config import parse_role
from aws_setup.ssh.errors import ConnectStage, Unreachable
from aws_setup.ssh.exchange import CommandResult
from aws_setup.verify import cluster_checks, machine_checks, namenode_checks, service_checks
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.machine_checks import ClockReading, FileSystemUse
from tests.support.clock import RecordingClock


class Vm:
    """A VM with an answer for each program, or with none of them."""

    def __init__(self, name: str, *, up: bool = True, srvr: str = "", **answers: str) -> None:
        self.name = self.id = name
        self.address, self.private_ip = "203.0.113.7", "10.0.0.7"
        self.up, self.srvr, self.answers = up, srvr, answers

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"

    def connect(self) -> None:
        if not self.up:
            raise Unreachable(self.name, ConnectStage.PORT, "port 22 times out", "open it")

    def run(self, command: list[str], **_: Any) -> CommandResult:
        answer = self.answers.get(command[0])
        return (
            CommandResult(127, "", "not found") if answer is None else CommandResult(0, answer, "")
        )

    def query_port(self, port: int, request: bytes) -> bytes | None:
        return self.srvr.encode() or None


def chain(*vms: Vm) -> Any:
    clock = RecordingClock()
    pool = SimpleNamespace(check=lambda: None, each=lambda items, work: [work(i) for i in items])
    ctx = SimpleNamespace(clock=clock)
    return SimpleNamespace(vms=list(vms), zookeepers=list(vms), pool=pool, clock=clock, ctx=ctx)


def vm(name: str) -> Any:
    return Vm(name)


def test_a_machine_that_does_not_answer_or_is_stopped_is_named() -> None:
    assert machine_checks.check_machines(chain(Vm("a"), Vm("b"))) == "2 VMs answer"
    assert machine_checks.check_machines(chain(Vm("a"))) == "1 VM answers"
    with pytest.raises(Broken, match=r"b cannot be reached .* \(2 of 3 VMs\)") as broken:
        machine_checks.check_machines(chain(Vm("a"), Vm("b", up=False), Vm("c", up=False)))
    assert broken.value.fix == "open it"
    stopped = Vm("b")
    stopped.address = ""
    with pytest.raises(Broken, match="b has no public address: stopped"):
        machine_checks.check_machines(chain(Vm("a"), stopped))
    with pytest.raises(NotApplicable, match="no VMs"):
        machine_checks.check_machines(chain())


def test_a_machine_without_a_program_is_skipped_and_a_strange_answer_fails() -> None:
    for check in (machine_checks.check_clocks, machine_checks.check_disks):
        with pytest.raises(NotApplicable, match="a has no program d"):
            check(chain(Vm("a")))
    with pytest.raises(SetupError, match="is no number"):
        machine_checks.check_clocks(chain(Vm("a", date="Fri Nov 27")))
    with pytest.raises(SetupError, match="is no number"):
        machine_checks.check_disks(chain(Vm("a", df="Use IUse Path\nmany 3% /")))
    text = machine_checks.check_disks(chain(Vm("a", df="Use% IUse% Path\n 8% 11% /\n 5% - /a b")))
    assert text == "at most 11 % of a disk is used"


@pytest.mark.parametrize(
    ("ahead", "cause"),
    [
        ((0.2, 0.1, 0.0), ""),
        ((40.0, 40.1, 40.2), ""),
        ((40.0, 40.1, -80.0), "the clock of 2 is 2 min behind the other VMs"),
        ((5.0,), "the clock of 0 is 5 s ahead of this computer"),
        ((0.1, -7.0), "the clock of 1 is 7 s behind this computer"),
    ],
)
def test_the_time_is_the_median_of_the_machines(ahead: tuple[float, ...], cause: str) -> None:
    readings = [ClockReading(vm(str(i)), seconds, 0.2) for i, seconds in enumerate(ahead)]
    if not cause:
        assert "differ by less than 1 s" in machine_checks.judge_clocks(readings)
        return
    with pytest.raises(Broken, match=cause):
        machine_checks.judge_clocks(readings)


def test_a_slow_answer_is_no_wrong_clock() -> None:
    readings = [ClockReading(vm(str(i)), second, 3.0) for i, second in enumerate((0.0, 0.1, 2.9))]
    assert machine_checks.judge_clocks(readings)


def test_the_fullest_disk_is_named_with_their_number() -> None:
    uses = [FileSystemUse(vm("a"), "/", 96), FileSystemUse(vm("b"), "/data", 99)]
    with pytest.raises(Broken, match=r"^/data of b is 99 % full \(2 of 2 disks\)$"):
        machine_checks.judge_disks(uses)


def srvr(mode: str, zxid: int) -> str:
    return f"Zxid: {zxid:#x}\nMode: {mode}\n"


def test_a_follower_that_does_not_apply_what_its_leader_did_is_named() -> None:
    leader = srvr("leader", 0x200000005)
    whole = chain(Vm("a", srvr=leader), Vm("b", srvr=srvr("follower", 0x200000006)))
    assert service_checks.check_ensemble(whole) == "a leader, b follower"
    late = chain(Vm("a", srvr=leader), Vm("b", srvr=srvr("follower", 0x1000000FF)))
    with pytest.raises(SetupError, match=r"b has applied 0x1000000ff, its leader 0x200000005"):
        service_checks.check_ensemble(late)
    two = chain(Vm("a", srvr=leader), Vm("b", srvr=leader))
    with pytest.raises(Broken, match="no single leader"):
        service_checks.check_ensemble(two)
    assert service_checks.check_ensemble(chain(Vm("a", srvr=srvr("standalone", 1))))
    assert parse_role(b"Zxid: many\nMode: leader\n") == parse_role(leader.encode())


def test_followers_of_a_new_leader_are_in_sync_before_its_first_transaction() -> None:
    """As after a start of the whole ensemble: followers name the last one of the earlier epoch."""
    new, earlier = srvr("leader", 0x200000000), srvr("follower", 0x10000012F)
    assert service_checks.check_ensemble(chain(Vm("a", srvr=new), Vm("b", srvr=earlier)))
    new = srvr("leader", 0x200000001)
    with pytest.raises(SetupError, match="in sync"):
        service_checks.check_ensemble(chain(Vm("a", srvr=new), Vm("b", srvr=earlier)))


SHOW = """\
[ndbd(NDB)]\t4 node(s)
id=2\t@10.0.0.2  (mysql-8.0.26 ndb-8.0.26, Nodegroup: 0, *)
id=3\t@10.0.0.3  (mysql-8.0.26 ndb-8.0.26, Nodegroup: 0)
id=4\t@10.0.0.4  (mysql-8.0.26 ndb-8.0.26, Nodegroup: 1)
id=5\t@10.0.0.5  (mysql-8.0.26 ndb-8.0.26, Nodegroup: 1)
"""
ADDRESSES = [f"10.0.0.{number}" for number in range(2, 6)]


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("id=4\t@10.0.0.4  (mysql-8.0.26 ndb-8.0.26, Nodegroup: 1)", "", "data node 4 .* not conn"),
        (
            "ndb-8.0.26, Nodegroup: 0)",
            "ndb-8.0.26, starting, Nodegroup: 0)",
            "data node 3 .* start",
        ),
        ("Nodegroup: 0)", "no nodegroup)", r"node group 0 has 1 data node |no node group has 1"),
        ("@10.0.0.5", "@10.0.0.4", r"node group 1 has 1 data node \(10.0.0.4\), not 2"),
    ],
)
def test_a_node_group_without_a_replica_is_found(old: str, new: str, cause: str) -> None:
    judged = service_checks.judge_data_nodes(parse_show(SHOW), ADDRESSES)
    assert judged == "4 data nodes started, 2 in each of 2 groups"
    with pytest.raises(Broken, match=cause):
        service_checks.judge_data_nodes(parse_show(SHOW.replace(old, new)), ADDRESSES)


@pytest.mark.parametrize(
    ("existing", "populate", "fix"),
    [
        ((), True, "run python create_aws_infrastructure.py"),
        (("t1",), True, "DROP DATABASE `db`, and run python create_aws_infrastructure.py"),
        (("t1",), False, "set populate_mysql_ndb_tables: True, and run"),
    ],
)
def test_the_fix_for_missing_tables_is_one_that_the_next_run_does_not_ignore(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    existing: tuple[str, ...],
    populate: bool,
    fix: str,
) -> None:
    folder = write_scripts(tmp_path / "sql")
    config = SimpleNamespace(
        ndb_sql_scripts_dir=str(folder), populate_mysql_ndb_tables=populate, format_filesystem=True
    )
    login = SimpleNamespace(database="db")
    made: Any = SimpleNamespace(
        ctx=SimpleNamespace(config=config), settings=SimpleNamespace(login=login)
    )
    monkeypatch.setattr(service_checks, "query", lambda *_: [[name] for name in existing])
    with pytest.raises(Broken, match="tables do not exist in db") as broken:
        service_checks.check_tables(made)
    assert fix in broken.value.fix
    assert populate != ("set populate" in broken.value.fix)


def test_the_expected_tables_are_those_that_the_scripts_leave(tmp_path: Path) -> None:
    folder = write_scripts(tmp_path / "sql")
    (folder / "serverless.sql").write_text(
        "-- a comment\nCREATE TABLE IF NOT EXISTS `kept` (id INT);\n"
        "DROP TABLE IF EXISTS t1, `t2`;\n"
        "ALTER TABLE t3 RENAME TO t30;\nALTER TABLE t4 DROP COLUMN t5;\n"
    )
    found = service_checks.expected_tables(str(folder))
    assert {"hdfs_inodes", "hdfs_variables", "kept", "t4", "t5"} <= set(found)
    assert not {"t1", "t2", "t3"} & set(found)
    assert service_checks.expected_tables(None) == ["hdfs_inodes"]


def node(name: str, role: str = "invoker", *, ready: str = "True") -> Any:
    group = {"eks.amazonaws.com/nodegroup": "invoker-nodes", "openwhisk-role": role}
    condition = {"type": "Ready", "status": ready, "reason": "KubeletNotReady"}
    meta = {"name": name, "labels": group}
    return {"metadata": meta, "spec": {}, "status": {"conditions": [condition]}}


def invoker(number: int, at: str = "") -> Any:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    status = {"phase": "Pending", "conditions": [condition | {"message": "Insufficient memory"}]}
    spec = {"nodeName": at} if at else {}
    return {"metadata": {"name": f"owdev-invoker-{number}"}, "spec": spec, "status": status}


SPEC = [NodeGroupSpec("invoker-nodes", "invoker", "r5.large", 2)]


def test_nodes_that_are_not_ready_or_too_few_are_named() -> None:
    cluster_checks.judge_nodes([node("a"), node("b")], SPEC)
    for nodes, cause in (
        ([node("a"), node("b", ready="Unknown")], "node b: KubeletNotReady"),
        ([node("a"), node("b", "core")], "node b has the label openwhisk-role core"),
        ([node("a")], "invoker-nodes has 1 node, not 2"),
    ):
        with pytest.raises(Broken, match=cause):
            cluster_checks.judge_nodes(nodes, SPEC)


def test_each_invoker_node_has_room_for_one_invoker() -> None:
    nodes = [node("a"), node("b")]
    cluster_checks.judge_invokers(nodes, [invoker(0, "a"), invoker(1, "b")], replicas=2)
    for pods, replicas, cause in (
        ([invoker(0, "a"), invoker(1)], 2, "no node has room for owdev-invoker-1: .*Insufficient"),
        ([invoker(0, "a"), invoker(1, "a")], 2, "2 invoker nodes, 2 of 2 invokers; a has 2"),
        ([invoker(0, "a")], 1, "2 invoker nodes, 1 of 1 invoker; b has 0"),
        ([invoker(0, "a"), invoker(1, "b")], 3, "2 invoker nodes, 2 of 3 invokers"),
    ):
        with pytest.raises(Broken, match=cause):
            cluster_checks.judge_invokers(nodes, pods, replicas=replicas)
    # openwhisk_values may have fewer.
    cluster_checks.judge_invokers(nodes, [invoker(0, "a")], replicas=1, own=1)
    with pytest.raises(Broken, match="2 invoker nodes, 2 of 2 invokers"):
        pods = [invoker(0, "a"), invoker(1, "b")]
        cluster_checks.judge_invokers(nodes, pods, replicas=2, own=1)


@pytest.mark.parametrize(
    ("days", "text"), [(-1, "ended on"), (3, "3 days left"), (20, "renews it now"), (90, "until")]
)
def test_the_days_that_a_certificate_has_left_are_said(days: int, text: str) -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    ends = now + timedelta(days=days, hours=1)
    if days < 7:
        with pytest.raises(Broken, match=text):
            cluster_checks.judge_certificate(ends, now)
    else:
        assert text in cluster_checks.judge_certificate(ends, now)


@pytest.mark.parametrize(
    ("keys", "fix"),
    [
        ({"openwhisk_tls_cert": "c.pem"}, "replace the files of openwhisk_tls_cert and"),
        ({"openwhisk_tls_arn": "arn:aws:acm:us-east-1:1:certificate/2"}, "import-certificate"),
        ({"openwhisk_tls_arn": "arn:aws:iam::1:server-certificate/2"}, "upload-server-certificate"),
    ],
)
def test_a_certificate_of_the_users_is_not_said_to_be_renewed_by_configure(
    keys: dict[str, str], fix: str
) -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    files = {"openwhisk_tls_key": "k.pem"} if "openwhisk_tls_cert" in keys else {}
    config = Config(ssh_keypair_name="k", ssh_key_path="/k").model_copy(update=keys | files)
    replaced = existing_certificate.how_to_replace(config)
    for days in (-1, 3):
        with pytest.raises(Broken) as caught:
            ends = now + timedelta(days=days)
            cluster_checks.judge_certificate(ends, now, replaced=replaced)
        assert fix in caught.value.fix
        assert "renews it" not in caught.value.fix
    said = cluster_checks.judge_certificate(now + timedelta(days=20), now, replaced=replaced)
    assert fix in said
    assert "renews it now" not in said


def action(name: str, **change: Any) -> CurrentAction:
    fields: dict[str, Any] = {"version": "0.0.1", "kind": "java:8", "memory": 512}
    fields |= {"concurrency": 4, "updated": 0.0, "web": True, "settings": 1} | change
    return CurrentAction(name=name, **fields)


def test_a_namenode_that_differs_from_the_others_is_named() -> None:
    same = [action(f"namenode{number}") for number in range(3)]
    assert "3 alike: java:8, 512 MB" in namenode_checks.judge_actions(same)
    for change, cause in (
        ({"memory": 256}, "namenode3: memory is 256, not 512"),
        ({"web": False}, "namenode3: web action is no, not yes"),
        ({"concurrency": 1}, "namenode3: concurrency is 1, not 4"),
    ):
        with pytest.raises(Broken, match=cause):
            namenode_checks.judge_actions([*same, action("namenode3", **change)])


def test_cold_starts_are_told_as_recorded_and_never_guessed() -> None:
    text = namenode_checks.start_text([1.0, None, 3.0], number=3)
    assert text == "2 cold starts of 2.0 s (median), at most 3.0 s"
    assert namenode_checks.start_text([None], number=1) == "all were warm"
    assert "not known: 2 answers" in namenode_checks.start_text([1.0], number=3)
