"""An emulated NameNode: it reads its configuration and connects to what it names.

The first failure of its start is its error, in the words of λFS's log. Who reaches whom is decided
by the network of the emulated cloud; who listens, accepts a login or has a znode by the emulated
VMs. The order is that of ServerlessNameNode.initialize:
https://github.com/ds2-lab/LambdaFS/blob/serverless-namenode-aws/hadoop-hdfs-project/hadoop-hdfs/src/main/java/org/apache/hadoop/hdfs/server/namenode/ServerlessNameNode.java
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from xml.etree.ElementTree import ParseError

from aws_setup.rehearsal.openwhisk.invocation import StartError
from aws_setup.rehearsal.openwhisk.namenode_files import Files, Rows
from aws_setup.rehearsal.openwhisk.namenode_image import SITE
from aws_setup.rehearsal.programs.hadoop_config import (
    DRIVER_FILE,
    NDB_CONFIG,
    parse_properties,
    parse_site,
)

MYSQL = "io.hops.metadata.ndb.mysqlserver"
PERMANENT = "permanent"
"""Child of each deployment's znode: the NameNodes of that deployment."""


class VmServices(Protocol):
    """The servers on the emulated VMs, by private address."""

    def is_listening(self, address: str, port: int) -> bool:
        """Return whether a program listens on a TCP port."""

    def data_nodes(self, manager: str) -> Sequence[tuple[str, int]]:
        """Return address and ServerPort of each data node that the manager reports as started."""

    def login(self, address: str, port: int, *, user: str, password: str, database: str) -> str:
        """Log in to a mysqld and use a database; return its error, '' when it worked."""

    def query(self, address: str, login: Mapping[str, str], sql: str) -> Rows:
        """Run SQL on a mysqld with the keys of `login`; raises OperationError where it fails."""

    def znodes(self, address: str, port: int) -> Collection[str] | None:
        """Return the paths of all znodes; None without quorum."""


@dataclass(frozen=True)
class Pod:
    """Where a NameNode runs.

    `address` is the pod's node's. `reaches` takes address and TCP port, and applies the rules of
    the network.
    """

    address: str
    reaches: Callable[[str, int], bool]


@dataclass(frozen=True)
class VmNameNode:
    """A NameNode: its number, its configuration, and what it connects to."""

    number: int
    site: Mapping[str, str]
    ndb: Mapping[str, str]
    pod: Pod
    services: VmServices

    def start(self) -> None:
        """Connect to everything.

        Raises:
            StartError: a connection does not work, or something is missing.
        """
        self._check_number()
        self._connect_ndb()
        self._log_in()
        self._read_znodes()

    def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Execute an operation of the file system, whose files are rows of the database."""

        def query(sql: str) -> Rows:
            return self.services.query(self.ndb.get(f"{MYSQL}.host", ""), self._login(), sql)

        return Files(query).execute(operation, arguments)

    def connect(self, host: str, ports: Sequence[int]) -> list[str]:
        """Connect back to a client: a failure is in the log, and no error of the operation."""
        failures = [(port, self._failure(host, port)) for port in ports]
        return [
            f"ERROR Encountered exception while connecting to client: {failure}: {host}:{port}"
            for port, failure in failures
            if failure
        ]

    def _check_number(self) -> None:
        """Fail where the own configuration has fewer deployments than the clients'.

        λFS divides the paths by `serverless.deployments.max`, so that clients and NameNodes must
        agree on it; its own error in this case is not known.
        """
        number = self.site.get("serverless.deployments.max", "")
        if number.isdigit() and self.number >= int(number):
            raise StartError(
                f"java.lang.IllegalArgumentException: deployment {self.number} does not exist: "
                f"serverless.deployments.max is {number}"
            )

    def _connect_ndb(self) -> None:
        text = self.ndb.get("com.mysql.clusterj.connectstring", "localhost:1186")
        host, port = _address(text, 1186)
        if self._failure(host, port):
            raise StartError(
                "io.hops.exception.StorageException: com.mysql.clusterj.ClusterJFatalUserException:"
                f" Unable to connect with connect string: nodeid=0,{host}:{port}"
            )
        nodes = self.services.data_nodes(host)
        for address, server_port in nodes:
            if failure := self._failure(address, server_port):
                raise StartError(
                    "io.hops.exception.StorageException: com.mysql.clusterj."
                    f"ClusterJDatastoreException: Cluster is not ready: {failure}: data node "
                    f"{address}:{server_port}"
                )
        if not nodes:
            raise StartError(
                "io.hops.exception.StorageException: com.mysql.clusterj.ClusterJDatastoreException:"
                f" Cluster is not ready: no data node of {host}:{port} has started"
            )

    def _log_in(self) -> None:
        login = self._login()
        host, port = self.ndb.get(f"{MYSQL}.host", ""), int(login["port"])
        if failure := self._failure(host, port):
            raise StartError(
                "io.hops.exception.StorageException: com.mysql.jdbc.exceptions.jdbc4."
                f"CommunicationsException: Communications link failure: {host}:{port}: {failure}"
            )
        error = self.services.login(
            host,
            port,
            user=login["user"],
            password=login["password"],
            database=login["database"],
        )
        if error:
            error = re.sub(r"(@|Host )'[^']*'", rf"\1'{self.pod.address}'", error)
            raise StartError(
                f"io.hops.exception.StorageException: java.sql.SQLException: {error} "
                f"({host}:{port})"
            )

    def _login(self) -> dict[str, str]:
        return {
            "port": self.ndb.get(f"{MYSQL}.port", "3306"),
            "user": self.ndb.get(f"{MYSQL}.username", ""),
            "password": self.ndb.get(f"{MYSQL}.password", ""),
            "database": self.ndb.get("com.mysql.clusterj.database", ""),
        }

    def _read_znodes(self) -> None:
        """Read the NameNodes of every deployment, as ActiveServerlessNameNodeList does.

        The own configuration says how many deployments there are, and a znode that is missing ends
        the start. The NameNode itself creates what is missing below its own, except ACK, in which
        writes are acknowledged.
        """
        hosts = self.site.get("serverless.zookeepers.hosts", "localhost:2181").split(",")
        failures = []
        for host, port in (_address(text.strip(), 2181) for text in hosts):
            failure = self._failure(host, port)
            existing = None if failure else self.services.znodes(host, port)
            if existing is not None:
                self._check_znodes(existing, f"{host}:{port}")
                return
            failures.append(f"{host}:{port}: {failure or 'not serving requests'}")
        raise StartError(
            "org.apache.zookeeper.KeeperException$ConnectionLossException: KeeperErrorCode = "
            f"ConnectionLoss for /namenode0/{PERMANENT} ({failures[0]})"
        )

    def _check_znodes(self, existing: Collection[str], server: str) -> None:
        number = int(self.site.get("serverless.deployments.max", "1"))
        needed = [f"/namenode{index}/{PERMANENT}" for index in range(number)]
        for path in (*needed, f"/namenode{self.number}/ACK"):
            if path not in existing:
                raise StartError(
                    "org.apache.zookeeper.KeeperException$NoNodeException: KeeperErrorCode = "
                    f"NoNode for {path} ({server})"
                )

    def _failure(self, host: str, port: int) -> str:
        """Return why a connection fails, as Java says it; '' when it is accepted."""
        if not self.pod.reaches(host, port):
            return "Connection timed out"
        return "" if self.services.is_listening(host, port) else "Connection refused"


def _address(text: str, default: int) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port or default)


def read_configuration(
    jar: Mapping[str, bytes], image: Mapping[str, bytes]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the properties of hdfs-site.xml and of ndb-config.properties, as λFS reads them.

    The first file of the class path, on which the jar is before the image's /conf/, is followed by
    that of /conf/, which overrides what is not final (ServerlessNameNode.createNameNode in
    https://github.com/ds2-lab/LambdaFS, JarLoader in
    https://github.com/Scusemua/openwhisk-runtime-java). The second one is opened by its path
    (HdfsStorageFactory.getMetadataClusterConfiguration).

    Args:
        jar: the files at the root of the jar, by their names.
        image: the files of the image, by their paths.

    Raises:
        StartError: a file does not exist, or is no XML.
    """
    first = jar.get("hdfs-site.xml")
    try:
        site = parse_site(*([first] if first is not None else []), _opened(image, SITE))
    except ParseError as error:
        raise StartError(f"java.lang.RuntimeException: hdfs-site.xml: {error}") from error
    path = site.get(DRIVER_FILE, NDB_CONFIG)
    return site, parse_properties(_opened(image, path))


def _opened(image: Mapping[str, bytes], path: str) -> bytes:
    if path not in image:
        raise StartError(f"java.io.FileNotFoundException: {path} (No such file or directory)")
    return image[path]
