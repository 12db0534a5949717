"""The start of an emulated NameNode: each link that is broken gives its error."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from aws_setup.rehearsal.openwhisk.invocation import OperationError, StartError
from aws_setup.rehearsal.openwhisk.namenode import Pod, VmNameNode, read_configuration
from aws_setup.rehearsal.openwhisk.namenode_files import ROOT, Files, Rows
from aws_setup.rehearsal.openwhisk.namenode_image import (
    AUTHORS_NDB,
    AUTHORS_SITE,
    NDB,
    SITE,
    image_of,
)
from aws_setup.software.zookeeper.config import znodes

IMAGE = {SITE: AUTHORS_SITE, NDB: AUTHORS_NDB}
MANAGER, DATA_NODE, CLIENT = "10.0.6.227", "10.0.1.1", "10.0.2.1"
ZOOKEEPERS = ("10.0.8.233", "10.0.4.113", "10.0.14.89")
SERVER_PORT = 11860


@dataclass
class Servers:
    """The servers of a deployment that works, and the links to it."""

    listening: set[tuple[str, int]] = field(
        default_factory=lambda: {
            (MANAGER, 1186),
            (MANAGER, 3306),
            (CLIENT, 6000),
            (DATA_NODE, SERVER_PORT),
            *((host, 2181) for host in ZOOKEEPERS),
        }
    )
    unreachable: set[tuple[str, int]] = field(default_factory=set)
    started: list[tuple[str, int]] = field(default_factory=lambda: [(DATA_NODE, SERVER_PORT)])
    account: tuple[str, str, str] = ("user", "123password123", "vanilla_hopsfs")
    existing: set[str] = field(default_factory=lambda: set(znodes(20)))
    quorum: bool = True

    def reaches(self, host: str, port: int) -> bool:
        return (host, port) not in self.unreachable

    def is_listening(self, address: str, port: int) -> bool:
        return (address, port) in self.listening

    def data_nodes(self, manager: str) -> Sequence[tuple[str, int]]:
        return self.started

    def login(self, address: str, port: int, *, user: str, password: str, database: str) -> str:
        if (user, password) != self.account[:2]:
            return f"Access denied for user '{user}'@'{address}' (using password: YES)"
        return "" if database == self.account[2] else f"Unknown database '{database}'"

    def query(self, address: str, login: Mapping[str, str], sql: str) -> Rows:
        raise OperationError("there is no database")

    def znodes(self, address: str, port: int) -> Collection[str] | None:
        return self.existing if self.quorum else None

    def namenode(self, number: int = 3, files: Mapping[str, bytes] = IMAGE) -> VmNameNode:
        site, ndb = read_configuration({}, files)
        return VmNameNode(number, site, ndb, Pod("10.0.128.7", self.reaches), self)

    def start(self, *, number: int = 3, files: Mapping[str, bytes] = IMAGE) -> str:
        """Start a NameNode; return its error."""
        try:
            self.namenode(number, files).start()
        except StartError as error:
            return str(error)
        return ""


def test_a_deployment_at_the_published_addresses_starts() -> None:
    assert Servers().start() == ""


def cut(*links: tuple[str, int]) -> Callable[[Servers], object]:
    return lambda servers: servers.unreachable.update(links)


def stop(*links: tuple[str, int]) -> Callable[[Servers], object]:
    return lambda servers: servers.listening.difference_update(links)


ZOOKEEPER_LINKS = [(host, 2181) for host in ZOOKEEPERS]


@pytest.mark.parametrize(
    ("breaks", "error"),
    [
        (cut((MANAGER, 1186)), f"ClusterJFatalUserException.*nodeid=0,{MANAGER}:1186"),
        (stop((MANAGER, 1186)), f"ClusterJFatalUserException.*nodeid=0,{MANAGER}:1186"),
        (cut((DATA_NODE, SERVER_PORT)), f"ClusterJDatastore.*timed out.*{DATA_NODE}:{SERVER_PORT}"),
        (stop((DATA_NODE, SERVER_PORT)), f"not ready.*refused.*{DATA_NODE}:{SERVER_PORT}"),
        (lambda servers: servers.started.clear(), f"Cluster is not ready.*{MANAGER}:1186"),
        (cut((MANAGER, 3306)), f"CommunicationsException.*{MANAGER}:3306: Connection timed out"),
        (stop((MANAGER, 3306)), f"CommunicationsException.*{MANAGER}:3306: Connection refused"),
        (cut(*ZOOKEEPER_LINKS), f"ConnectionLoss for .*{ZOOKEEPERS[0]}:2181.*timed out"),
        (stop(*ZOOKEEPER_LINKS), f"ConnectionLoss for .*{ZOOKEEPERS[0]}:2181.*refused"),
        (lambda servers: setattr(servers, "quorum", False), "ConnectionLoss.*not serving"),
        (lambda servers: servers.existing.clear(), "NoNode for /namenode0/permanent"),
        (
            lambda servers: setattr(servers, "existing", set(znodes(19))),
            "NoNode for /namenode19/permanent",
        ),
        (lambda servers: servers.existing.remove("/namenode3/ACK"), "NoNode for /namenode3/ACK"),
    ],
)
def test_a_broken_link_is_the_error(breaks: Callable[[Servers], object], error: str) -> None:
    servers = Servers()
    breaks(servers)
    assert_matches(servers.start(), error)


def test_a_client_that_is_not_reached_is_in_the_log_and_no_error() -> None:
    """λFS connects in a thread, after the operation; the client then goes on by HTTP."""
    for breaks, why in ((cut((CLIENT, 6000)), "timed out"), (stop((CLIENT, 6000)), "refused")):
        servers = Servers()
        assert servers.namenode().connect(CLIENT, [6000]) == []
        breaks(servers)
        [line] = servers.namenode().connect(CLIENT, [6000])
        assert f"{why}: {CLIENT}:6000" in line


def test_files_are_rows_of_the_database() -> None:
    rows = {(ROOT, 0, ""), (2, ROOT, "data"), (3, 2, "a.txt")}

    def query(sql: str) -> Rows:
        if sql.startswith("INSERT"):
            parent, name = re.findall(r"SELECT MAX\(id\) \+ 1, (\d+), '(.*)' FROM", sql)[0]
            rows.add((max(row[0] for row in rows) + 1, int(parent), name))
        elif sql.startswith("DELETE"):
            doomed = {int(text) for text in re.findall(r"\d+", sql)}
            rows.difference_update([row for row in rows if row[0] in doomed])
        return [[str(item) for item in row] for row in rows]

    def execute(operation: str, path: str = "") -> object:
        return Files(query).execute(operation, {"src": path})

    assert execute("ping") is None
    assert execute("getListing", "/") == ["data"]
    assert execute("create", "/new/b.txt")
    assert execute("mkdirs", "/data")
    assert execute("getListing", "/") == ["data", "new"]
    assert execute("getListing", "/new") == ["b.txt"]
    assert execute("getListing", "/none") is None
    assert execute("delete", "/data")
    assert not execute("delete", "/data")
    assert len(rows) == 3
    with pytest.raises(OperationError, match="NullPointerException"):
        execute("rename", "/new")


def assert_matches(text: str, pattern: str) -> None:
    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    ("account", "error"),
    [
        (("lambdafs", "generated", "vanilla_hopsfs"), "Access denied for user 'user'@'10.0.128.7'"),
        (("user", "another", "vanilla_hopsfs"), "Access denied for user 'user'@'10.0.128.7'"),
        (("user", "123password123", "other"), "Unknown database 'vanilla_hopsfs'"),
    ],
)
def test_the_database_must_accept_the_login(account: tuple[str, str, str], error: str) -> None:
    text = Servers(account=account).start()
    assert_matches(text, f"java.sql.SQLException: {error}.*{MANAGER}:3306")


def test_one_zookeeper_server_is_enough() -> None:
    servers = Servers()
    servers.unreachable.update(ZOOKEEPER_LINKS[:1])
    servers.listening.difference_update(ZOOKEEPER_LINKS[1:2])
    assert servers.start() == ""


def test_a_number_beyond_the_own_configuration_is_an_error() -> None:
    site = AUTHORS_SITE.replace(b"<value>20</value>", b"<value>3</value>")
    assert Servers().start(number=2, files={**IMAGE, SITE: site}) == ""
    assert_matches(Servers().start(number=3, files={**IMAGE, SITE: site}), "deployments.max is 3")


def site_of(jars: bytes) -> Mapping[str, str]:
    """Return the properties of hdfs-site.xml that a NameNode has with a jar's file."""
    return read_configuration({"hdfs-site.xml": jars}, IMAGE)[0]


def test_the_images_file_overrides_what_is_not_final_in_the_jars() -> None:
    own = b"<value>https://own/</value>"
    jars = b"<configuration><property><name>serverless.endpoint</name>%s</property>" % own
    jars += b"<property><name>own</name><value>1</value></property></configuration>"
    image = site_of(b"<configuration/>")
    assert site_of(jars) == {**image, "own": "1"}
    final = jars.replace(own, own + b"<final>true</final>")
    assert site_of(final) == {**image, "own": "1", "serverless.endpoint": "https://own/"}


def test_the_login_is_read_where_the_configuration_leads_and_never_in_the_jar() -> None:
    ndb = AUTHORS_NDB.replace(b"10.0.6.227", b"10.9.9.9")
    assert "10.9.9.9:1186" in Servers().start(files={**IMAGE, NDB: ndb})
    jars = {"ndb-config.properties": ndb}
    assert read_configuration(jars, IMAGE) == read_configuration({}, IMAGE)
    bare = AUTHORS_SITE.replace(NDB.encode(), b"ndb-config.properties")
    with pytest.raises(StartError, match="FileNotFoundException: ndb-config"):
        read_configuration(jars, {**IMAGE, SITE: bare})


def test_missing_and_damaged_files_are_errors() -> None:
    with pytest.raises(StartError, match="FileNotFoundException: /metadata-dal/ndb-config"):
        read_configuration({}, {SITE: AUTHORS_SITE})
    with pytest.raises(StartError, match="FileNotFoundException: /conf/hdfs-site"):
        read_configuration({"hdfs-site.xml": AUTHORS_SITE}, {NDB: AUTHORS_NDB})
    with pytest.raises(StartError, match=r"RuntimeException: hdfs-site\.xml"):
        site_of(b"<configuration>")


def test_the_image_of_a_kind() -> None:
    manifest = (
        '{"runtimes": {"a": [{"kind": "a:1", "image": {"prefix": "me", "name": "n", "tag": "2"}},'
        ' {"kind": "a:2", "image": {"name": "n"}}]}}'
    )
    assert image_of("a:1", manifest) == "me/n:2"
    assert image_of("a:2", manifest) == "n:latest"
    assert image_of("b:1", manifest) == image_of("b:1", "") == ""
