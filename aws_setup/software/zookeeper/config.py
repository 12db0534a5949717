"""ZooKeeper's files, scripts and answers as text; paths as on λFS's ZooKeeper AMI."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HOME = "/opt/zookeeper"
SERVER = f"{HOME}/bin/zkServer.sh"
CLIENT = f"{HOME}/bin/zkCli.sh"
DATA = "/data/zookeeper"
LOGS = "/disk2/zookeeper/logs"
PID_FILE = f"{DATA}/zookeeper_server.pid"
CLIENT_PORT = 2181

ZOO_CFG = f"{HOME}/conf/zoo.cfg"
ENVIRONMENT = f"{HOME}/conf/zookeeper-env.sh"
MY_ID = f"{DATA}/myid"

CHILDREN = ("permanent", "guest", "ACK", "INV")
"""The znodes of λFS below each deployment's znode."""

IMAGE_DEPLOYMENTS = 20
"""`serverless.deployments.max` in the published container image of the NameNodes.

A NameNode reads the znode `permanent` of every deployment below the number in its own
configuration when it starts, and cannot start where one is missing, however many NameNodes there
are (refreshActiveNameNodesList in ServerlessNameNode.initialize).
https://github.com/Scusemua/openwhisk-runtime-java/blob/30a0fd9b891673db18e52a8e1d89c64645cd2217/core/java8/conf/hdfs-site.xml
https://github.com/ds2-lab/LambdaFS/blob/serverless-namenode-aws/hadoop-hdfs-project/hadoop-hdfs/src/main/java/org/apache/hadoop/hdfs/server/namenode/ServerlessNameNode.java
"""

CORRECT_PID = f"""\
pid=$(cat {PID_FILE} 2>/dev/null)
[ -n "$pid" ] && ps -o args= -p "$pid" | grep -q '[Q]uorumPeerMain' && exit 0
rm -f {PID_FILE}
pid=$(pgrep -f '[Q]uorumPeerMain' | head -n 1)
[ -z "$pid" ] || printf %s "$pid" > {PID_FILE}
"""
"""Makes the PID file that of the running server, and deletes it where none runs.

zkServer.sh stops the process that the file names, and nothing without the file.
https://github.com/apache/zookeeper/blob/master/bin/zkServer.sh
"""

EPOCH = f"{DATA}/version-2/currentEpoch"
"""The file that a server writes when it first takes part in an election."""

_SRVR = f"""\
exec 3<> /dev/tcp/127.0.0.1/{CLIENT_PORT} || exit 1
printf srvr >&3
timeout 5 cat <&3 | head -c 65536
"""
"""Bash: prints the server's answer to `srvr`, what it sends within 5 s; fails where none listens.

Bash itself connects to /dev/tcp, so that no other program is needed.
https://www.gnu.org/software/bash/manual/html_node/Redirections.html
"""

SRVR = f"exec bash -c {shlex.quote(_SRVR)}\n"
"""Prints the answer of the machine's own server to `srvr`."""

LIST = f"""\
bash -c {shlex.quote(_SRVR)} | grep -q '^Mode: [a-z]' || exit 1
printf 'ls -R /\\n' | {CLIENT} -server 127.0.0.1:{CLIENT_PORT}
"""
"""Prints the znodes of the machine's own server; fails unless it is a working member."""

_ZXID = re.compile(r"0x[0-9a-f]{1,16}")
_PATH = re.compile(r"^/[A-Za-z0-9/]*$")


@dataclass(frozen=True)
class ServerRole:
    """A server's answer to `srvr`: its mode, '' while it has no leader, and its last transaction.

    `zxid` is the number of the last transaction that the server has applied; a leader's transaction
    has a higher number than all before it.
    https://zookeeper.apache.org/doc/current/zookeeperInternals.html
    """

    mode: str = ""
    zxid: int = field(default=0, compare=False)

    @property
    def serving(self) -> bool:
        """Whether it is a working member of an ensemble, or standalone."""
        return self.mode in {"leader", "follower", "standalone"}


def zoo_cfg(addresses: Sequence[str]) -> str:
    """Return zoo.cfg with every member; a single member gets no server line."""
    lines = [
        "tickTime=1000",
        f"dataDir={DATA}",
        f"dataLogDir={LOGS}",
        f"clientPort={CLIENT_PORT}",
        "initLimit=5",
        "syncLimit=2",
        "admin.serverPort=8081",
        "autopurge.snapRetainCount=3",
        "autopurge.purgeInterval=24",
    ]
    if len(addresses) > 1:
        lines += [f"server.{i}={address}:2888:3888" for i, address in enumerate(addresses)]
    return "\n".join(lines) + "\n"


def environment(heap: int) -> str:
    """Return zookeeper-env.sh for a heap size in MB, for server and client."""
    return (
        f"export ZK_SERVER_HEAP={heap}\n"
        f"export ZK_CLIENT_HEAP={heap}\n"
        f'export JVMFLAGS="-Xms{heap}m"\n'
    )


def files(addresses: Sequence[str], index: int, *, heap: int) -> dict[str, str]:
    """Return path -> content of the three files of one member."""
    return {
        ZOO_CFG: zoo_cfg(addresses),
        ENVIRONMENT: environment(heap),
        MY_ID: f"{index}\n",
    }


def znodes(deployments: int) -> list[str]:
    """Return every znode that λFS needs, parents first."""
    return [
        path
        for number in range(deployments)
        for path in (
            f"/namenode{number}",
            *(f"/namenode{number}/{child}" for child in CHILDREN),
        )
    ]


def client_script(missing: Iterable[str]) -> str:
    """Return the input of zkCli.sh: create these znodes, then list all."""
    return "".join(f'create {path} ""\n' for path in missing) + "ls -R /\n"


def listed(output: str) -> set[str]:
    """Return the znodes that `ls -R /` listed in the output of zkCli.sh."""
    return {line.strip() for line in output.splitlines() if _PATH.match(line.strip())}


def parse_role(answer: bytes | None) -> ServerRole | None:
    """Return a server's role from its answer to `srvr`; None when the port is closed."""
    if answer is None:
        return None
    pairs = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
    found = {key.strip(): value.strip() for key, _, value in pairs}
    zxid = found.get("Zxid", "")
    return ServerRole(found.get("Mode", ""), int(zxid, 16) if _ZXID.fullmatch(zxid) else 0)
