"""The files of a client, the properties in them that a deployment decides, and their values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HADOOP = "/home/ubuntu/repos/hops/hadoop-dist/target"
LAMBDA_FS_RELEASE = "hadoop-3.2.0.3-SNAPSHOT"
HOPS_FS_RELEASE = "hadoop-3.2.0.2-RC0"
BENCHMARK = "/home/ubuntu/repos/LambdaFS-BenchmarkingUtility/config.yaml"

ENDPOINT = "serverless.endpoint"
DEPLOYMENTS_MAX = "serverless.deployments.max"
DEPLOYMENTS_BASELINE = "serverless.deployments.baseline"
ZOOKEEPERS = "serverless.zookeepers.hosts"
TCP_ENABLED, TCP_PORT = "serverless.tcp.enabled", "serverless.tcp.port"
DRIVER_FILE = "dfs.storage.driver.configfile"

CONNECT_STRING = "com.mysql.clusterj.connectstring"
DATABASE = "com.mysql.clusterj.database"
MYSQL_HOST = "io.hops.metadata.ndb.mysqlserver.host"
MYSQL_PORT = "io.hops.metadata.ndb.mysqlserver.port"
USER = "io.hops.metadata.ndb.mysqlserver.username"
PASSWORD = "io.hops.metadata.ndb.mysqlserver.password"

ENDPOINT_PATH = re.compile(r"/api/v1/web/([^/]+)/default/([^/]+)")
"""The path of `serverless.endpoint`: namespace, and prefix of the actions' names."""

MANAGER_PORT, SQL_PORT, ZOOKEEPER_PORT = 1186, 3306, 2181


@dataclass(frozen=True)
class ClientKind:
    """Clients of one file system: their release, and whether they call the NameNodes in λFS.

    `step` is the step of the VM that create launches, `components` the Component tags of the VMs
    that auto-scaling groups launch.
    """

    step: str
    release: str
    components: tuple[str, ...]
    serverless: bool

    @property
    def folder(self) -> str:
        """The folder of Hadoop's configuration."""
        return f"{HADOOP}/{self.release}/etc/hadoop"

    @property
    def site(self) -> str:
        """The path of hdfs-site.xml."""
        return f"{self.folder}/hdfs-site.xml"

    @property
    def ndb(self) -> str:
        """The path of ndb-config.properties."""
        return f"{self.folder}/ndb-config.properties"


LAMBDA_FS = ClientKind("lambda-fs client", LAMBDA_FS_RELEASE, ("LambdaFSClientVM",), True)
HOPS_FS = ClientKind(
    "hopsfs client", HOPS_FS_RELEASE, ("HopsFSClientVM", "HopsFSNameNodeVM"), False
)
KINDS = (LAMBDA_FS, HOPS_FS)


@dataclass(frozen=True)
class NdbLogin:
    """The database and the user with which clients and NameNodes log in to MySQL.

    `assumed` is True where the password is that of the image's user, and the user another one.
    """

    user: str
    password: str = field(repr=False)
    database: str
    assumed: bool = False


@dataclass(frozen=True)
class DeploymentFacts:
    """What the files of this deployment's clients should say.

    `endpoint` is '' while OpenWhisk has no address. `manager` is the private address of the NDB
    manager, '' without an NDB cluster; `zookeepers` the private addresses of the ensemble, none
    where it is not known. `login` is None without an NDB cluster.
    """

    endpoint: str
    deployments: int
    zookeepers: tuple[str, ...]
    manager: str
    login: NdbLogin | None


def site_values(kind: ClientKind, facts: DeploymentFacts) -> Mapping[str, str]:
    """Return the properties of hdfs-site.xml that the deployment decides, as far as known."""
    if not kind.serverless:
        return {}
    values: dict[str, str] = {}
    if facts.endpoint:
        values[ENDPOINT] = facts.endpoint
    values[DEPLOYMENTS_MAX] = values[DEPLOYMENTS_BASELINE] = str(facts.deployments)
    if facts.zookeepers:
        values[ZOOKEEPERS] = ",".join(f"{host}:{ZOOKEEPER_PORT}" for host in facts.zookeepers)
    # λFS opens it as a path: a bare name would be looked for in the working directory.
    # https://github.com/ds2-lab/LambdaFS, HdfsStorageFactory.getMetadataClusterConfiguration
    values[DRIVER_FILE] = kind.ndb
    return values


def ndb_values(facts: DeploymentFacts) -> Mapping[str, str]:
    """Return the keys of ndb-config.properties that the deployment decides."""
    values: dict[str, str] = {}
    if facts.manager:
        values |= {
            CONNECT_STRING: f"{facts.manager}:{MANAGER_PORT}",
            MYSQL_HOST: facts.manager,
            MYSQL_PORT: str(SQL_PORT),
        }
    if facts.login:
        values |= {
            DATABASE: facts.login.database,
            USER: facts.login.user,
            PASSWORD: facts.login.password,
        }
    return values


def endpoint_url(api_host: str, namespace: str, prefix: str) -> str:
    """Return `serverless.endpoint`; λFS appends the number of a NameNode deployment.

    Args:
        api_host: OpenWhisk's API host as a URL with scheme and port.
        namespace: the namespace of the key with which the actions were created.
        prefix: the prefix of their names.
    """
    return f"{api_host.rstrip('/')}/api/v1/web/{namespace}/default/{prefix}"


def paths_of(kind: ClientKind) -> Sequence[str]:
    """Return every file that is read on a client of a kind."""
    return (kind.site, kind.ndb, BENCHMARK) if kind.serverless else (kind.site, kind.ndb)
