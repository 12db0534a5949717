"""What the AMIs of λFS hold, put on a rehearsal machine's disk: here ZooKeeper, the real one."""

from __future__ import annotations

from aws_setup.rehearsal.machines.tree import Disk

ZOOKEEPER_JARS = "/usr/share/java/zookeeper.jar"
"""Debian's package libzookeeper-java; its manifest names the jars it needs."""

_ENVIRONMENT = f"""\
ZOOCFGDIR=/opt/zookeeper/conf
ZOOCFG="$ZOOCFGDIR/zoo.cfg"
ZOO_LOG_DIR=/opt/zookeeper/logs
JAVA=/usr/bin/java
JMXDISABLE=true
[ -f "$ZOOCFGDIR/zookeeper-env.sh" ] && . "$ZOOCFGDIR/zookeeper-env.sh"
CLASSPATH="$ZOOCFGDIR:{ZOOKEEPER_JARS}"
SERVER_JVMFLAGS="-Xmx${{ZK_SERVER_HEAP:-1000}}m $SERVER_JVMFLAGS"
CLIENT_JVMFLAGS="-Xmx${{ZK_CLIENT_HEAP:-256}}m $CLIENT_JVMFLAGS"
"""


def install_zookeeper(tree: Disk) -> None:
    """Put ZooKeeper where its AMI has it; Debian's scripts read the environment beside them."""
    tree.write("/opt/zookeeper/bin/zkEnv.sh", _ENVIRONMENT)
    tree.path("/opt/zookeeper/conf").mkdir(parents=True)
    for script in ("zkServer.sh", "zkCli.sh"):
        link = tree.path(f"/opt/zookeeper/bin/{script}")
        link.symlink_to(f"/usr/share/zookeeper/bin/{script}")
