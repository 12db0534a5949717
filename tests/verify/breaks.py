"""Ways to break one thing of a deployment in the rehearsal, and to mend it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

from aws_setup.engine.wait import Pending, SystemClock, wait_until
from aws_setup.openwhisk import certificate
from aws_setup.rehearsal.openwhisk.server import Certificate
from aws_setup.rehearsal.vms.namespace_vms import NamespaceVmPool
from aws_setup.software.daemons import START
from aws_setup.software.ndb.cluster import NDBMTD
from aws_setup.software.sql.client import MYSQL
from aws_setup.software.zookeeper import config as zk

Break = Callable[[Any], AbstractContextManager[None]]
"""Breaks one thing of a story, until the block ends."""


def program(step: str, name: str, text: str) -> Break:
    """Return a break that puts another program before one of a VM's own."""

    @contextmanager
    def broken(story: Any) -> Iterator[None]:
        pool = story.environment.machines
        assert isinstance(pool, NamespaceVmPool)
        disk = pool.disk(story.instances(step)[0]["InstanceId"])
        disk.executable(f"/usr/local/bin/{name}", f"#!/bin/sh\n{text}\n")
        try:
            yield
        finally:
            disk.path(f"/usr/local/bin/{name}").unlink()

    return broken


wrong_clock = program("hopsfs client", "date", "exec /usr/bin/date -d '1 hour' \"$@\"")
full_disk = program("ndb manager", "df", "echo Use IUse Path; echo '97% 3% /'; echo '5% - /data'")
no_inodes = program("ndb manager", "df", "echo Use IUse Path; echo '7% 100% /'")


def sql(broken: str, mended: str) -> Break:
    """Return a break by statements of the database's root."""

    @contextmanager
    def context(story: Any) -> Iterator[None]:
        def run(statements: str) -> None:
            [result] = story.on("ndb manager", MYSQL, "vanilla_hopsfs", stdin=statements)
            assert not result.code, result.stderr

        run(broken)
        try:
            yield
        finally:
            run(mended)

    return context


no_table = sql("RENAME TABLE hdfs_variables TO moved;", "RENAME TABLE moved TO hdfs_variables;")
not_formatted = sql(
    "DELETE FROM hdfs_inodes;", "INSERT INTO hdfs_inodes (id, parent_id, name) VALUES (1, 0, '');"
)
files_from_before = sql(
    "INSERT INTO hdfs_inodes (id, parent_id, name) VALUES (7, 1, 'data'), (8, 7, 'a'), "
    "(9, 1, 'b'), (10, 1, 'my_directory'), (11, 10, 'my_file3.txt');",
    "DELETE FROM hdfs_inodes WHERE id > 1;",
)
no_writing = sql(
    "REVOKE INSERT ON `vanilla_hopsfs`.* FROM 'user'@'%'; "
    "REVOKE INSERT ON `vanilla_hopsfs`.* FROM 'user'@'localhost';",
    "GRANT ALL ON `vanilla_hopsfs`.* TO 'user'@'%'; "
    "GRANT ALL ON `vanilla_hopsfs`.* TO 'user'@'localhost';",
)


@contextmanager
def follower_down(story: Any) -> Iterator[None]:
    """Stop one ZooKeeper server; the others keep the quorum."""
    story.on_first("zookeeper", zk.SERVER, "stop")
    try:
        yield
    finally:
        story.start_zookeeper()


@contextmanager
def no_znode(story: Any) -> Iterator[None]:
    """Delete a znode of one NameNode."""
    client = (zk.CLIENT, "-server", "127.0.0.1:2181")
    story.on_first("zookeeper", *client, stdin="delete /namenode3/INV\n")
    try:
        yield
    finally:
        story.on_first("zookeeper", *client, stdin='create /namenode3/INV ""\n')


@contextmanager
def data_node_down(story: Any) -> Iterator[None]:
    """Kill a data node; its replica keeps the data."""
    kill = "kill -9 $(cat /usr/local/mysql/data/ndb_*.pid); sleep 0.3"
    story.on_first("ndb data nodes 1", "sh", "-c", kill)
    try:
        yield
    finally:
        story.on_first("ndb data nodes 1", "sh", "-c", START, "start", NDBMTD)


def node(change: Callable[[Any], None], mend: Callable[[Any], None]) -> Break:
    """Return a break of one invoker node in Kubernetes."""

    @contextmanager
    def broken(story: Any) -> Iterator[None]:
        [api] = story.environment.hooks.apis.values()
        with api.changed:
            found = next(
                item
                for item in api.state.all("nodes")
                if item["metadata"]["labels"].get("openwhisk-role") == "invoker"
            )
            change(found)
        try:
            yield
        finally:
            with api.changed:
                mend(found)

    return broken


def _set_label(value: str) -> Callable[[Any], None]:
    return lambda found: found["metadata"]["labels"].update({"openwhisk-role": value})


wrong_label = node(_set_label("core"), _set_label("invoker"))
cordoned = node(
    lambda found: found["spec"].update(unschedulable=True),
    lambda found: found["spec"].pop("unschedulable"),
)


@contextmanager
def invoker_crashes(story: Any) -> Iterator[None]:
    """Let the program of one invoker end repeatedly; Kubernetes notices before the block begins."""
    faults = story.environment.hooks.faults
    _wait_for_invokers(story, 8)
    faults.add({"fault": "pod-crashes", "pod": "owdev-invoker-1"})
    try:
        _wait_for_invokers(story, 7)
        yield
    finally:
        faults.clear()


def _wait_for_invokers(story: Any, ready: int) -> None:
    """Run the controllers until Kubernetes reports this many ready invokers."""
    cloud, [api] = story.environment.cloud, story.environment.hooks.apis.values()

    def poll() -> bool | Pending:
        with cloud.lock:
            cloud.clock.apply_due()
            api.controllers.invalidate()
            api.controllers.run()
        found = api.state.get("statefulsets", "owdev-invoker", "openwhisk")["status"]
        count = found.get("readyReplicas", 0)
        return count == ready or Pending(f"{count} ready")

    wait_until(
        f"{ready} invokers are ready", poll, clock=SystemClock(pace=0.1), deadline=60, pause=1
    )


@contextmanager
def other_memory(story: Any) -> Iterator[None]:
    """Change one NameNode as `wsk action update` does."""
    action = story.environment.openwhisk.whisk.store.actions["namenode3"]
    before, action["limits"] = action["limits"], action["limits"] | {"memory": 256}
    try:
        yield
    finally:
        action["limits"] = before


@contextmanager
def certificate_ends(story: Any) -> Iterator[None]:
    """Let the load balancers present a certificate that ends in three days."""
    pair = certificate.self_signed("openwhisk", [], days=3, now=datetime.now(UTC))
    context = Certificate(pair.certificate.encode(), pair.key.encode()).context()
    contexts = story.environment.openwhisk._contexts
    before = dict(contexts)
    contexts.update(dict.fromkeys(contexts, context))
    try:
        yield
    finally:
        contexts.update(before)


SERVICES: dict[str, tuple[Break, str, str]] = {
    "clock": (wrong_clock, "clocks", "60 min ahead of the other VMs|1 h 0 min ahead of the other"),
    "disk full": (full_disk, "disks", "/ of .* is 97 % full"),
    "no inodes": (no_inodes, "disks", "/ of .* is 100 % full"),
    "follower down": (follower_down, "ZooKeeper ensemble", "no single leader .* down"),
    "znode": (no_znode, "znodes", r"1 of 100 znodes do not exist \(/namenode3/INV\)"),
    "data node": (data_node_down, "NDB data nodes", r"data node 2 .* is not connected"),
    "label": (wrong_label, "nodes", "has the label openwhisk-role core, not invoker"),
    "cordoned": (cordoned, "nodes", "is cordoned"),
    "crash": (invoker_crashes, "OpenWhisk", "owdev-invoker-1.*CrashLoopBackOff"),
    "invoker": (invoker_crashes, "healthy invokers", "7 invokers are healthy, on 8 invoker nodes"),
    "table": (no_table, "tables", r"1 of \d+ tables do not exist .*\(hdfs_variables\)"),
    "format": (not_formatted, "file system", "not formatted: hdfs_inodes is empty"),
    "certificate": (certificate_ends, "certificate", "2 days left"),
    "memory": (other_memory, "NameNodes alike", "namenode3: memory is 256, not 20000"),
    "no writing": (no_writing, "row in the database", "INSERT command denied"),
}
"""What is broken -> how, the check that finds it, and what its cause says."""
