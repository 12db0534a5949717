"""Installs the software of the AMIs on the disk of a VM: ZooKeeper, and stand-ins for the rest."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from aws_setup.engine.temporary_files import temporary_folder
from aws_setup.rehearsal.vms.client_files import (
    HOME,
    HOPS_FS_RELEASE,
    LAMBDA_FS_RELEASE,
    TARGET,
    install_hops_fs_files,
    install_lambda_fs_files,
)
from aws_setup.rehearsal.vms.disk import Disk

NDB_PROGRAMS = {
    "/usr/local/bin/ndb_mgmd": "ndb_mgmd",
    "/usr/local/bin/ndb_mgm": "ndb_mgm",
    "/usr/local/bin/ndbmtd": "ndbmtd",
}
SQL_PROGRAMS = {
    "/usr/local/mysql/bin/mysqld": "mysqld",
    "/usr/local/mysql/bin/mysql": "mysql",
    "/usr/local/mysql/bin/mysqladmin": "mysql",
    f"{HOME}/mysql.server": "mysql_server",
}
"""Path of each program on the VMs -> the module that stands in for it."""

LIBRARY = "/usr/local/lib/lambda-fs-rehearsal"
SETTINGS = "/etc/lambda-fs-rehearsal.json"
DATABASE = "/usr/local/mysql/mariadb"
"""The data folder of MariaDB on the NDB manager."""

# Without site: packages of this computer take a fifth of the start.
_PROGRAM = f"""\
#!/usr/bin/python3 -IS
import sys
sys.path.insert(0, "{LIBRARY}")
from aws_setup.rehearsal.programs import {{module}}
{{module}}.main()
"""


def install_ndb_manager(disk: Disk) -> None:
    """Install the NDB manager: management server and client, and mysqld."""
    _install_programs(disk, {**NDB_PROGRAMS, **SQL_PROGRAMS}, ["/var/lib/mysql-cluster"])


def install_ndb_data_node(disk: Disk) -> None:
    """Install an NDB data node."""
    _install_programs(disk, NDB_PROGRAMS, [])


def install_lambda_fs_client(disk: Disk) -> None:
    """Install a client of λFS: hdfs, BasicTest, the benchmark, and their author's configuration."""
    hdfs = f"{TARGET}/{LAMBDA_FS_RELEASE}/bin/hdfs"
    _install_programs(disk, {hdfs: "hdfs", "/usr/local/bin/java": "basic_test"}, [])
    disk.write(f"{HOME}/BasicTest.jar", "")
    install_lambda_fs_files(disk)


def install_hops_fs_client(disk: Disk) -> None:
    """Install HopsFS: hdfs, and its author's configuration."""
    _install_programs(disk, {f"{TARGET}/{HOPS_FS_RELEASE}/bin/hdfs": "hdfs"}, [])
    install_hops_fs_files(disk)


def install_database(disk: Disk, template: Path) -> None:
    """Install the NDB manager's database, from a new data folder of MariaDB."""
    shutil.copytree(template, disk.path(DATABASE))


def set_faults(disk: Disk, *names: str, start_seconds: float = 0.2) -> None:
    """Set the faults of a VM, and the seconds until its data node has started.

    Faults are `ndbmtd dies`, `ndbmtd hangs`, `ndb_mgmd hangs`, `disk full`, `hdfs fails` and
    `hdfs hangs`, which ends when /var/log/hdfs-goes-on exists.
    """
    document = {"faults": names, "start_seconds": start_seconds}
    disk.write(SETTINGS, json.dumps(document))


def create_mariadb_template(folder: Path) -> Path:
    """Create a new data folder of MariaDB, root without a password; takes a few seconds.

    Raises:
        subprocess.CalledProcessError: MariaDB failed.
    """
    user = getpass.getuser()
    with temporary_folder() as scratch:
        # Two servers that start at the same time use the same names of temporary tables.
        environment = os.environ | {"TMPDIR": str(scratch)}
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={folder}",
                f"--user={user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=4M",
            ],
            check=True,
            capture_output=True,
            env=environment,
        )
    return folder


def _install_programs(disk: Disk, programs: dict[str, str], folders: Sequence[str]) -> None:
    for path, module in programs.items():
        disk.executable(path, _PROGRAM.format(module=module))
    package = Path(__file__).resolve().parent.parent / "programs"
    for source in package.glob("*.py"):
        name = f"{LIBRARY}/aws_setup/rehearsal/programs/{source.name}"
        disk.write(name, source.read_text(encoding="utf-8"))
    for folder in (*folders, "/usr/local/mysql/data"):
        disk.path(folder).mkdir(parents=True, exist_ok=True)
    # cloud-init's record of the first boot: older files are part of the image.
    disk.write("/var/lib/cloud/instance/sem/config_ssh", "")
    set_faults(disk)


ZOOKEEPER_JARS = "/usr/share/java/zookeeper.jar"
"""Debian's package libzookeeper-java; its manifest names the jars it needs."""

_SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Options of a JVM that ends before its second compiler and its parallel collector are worth it."""

_ENVIRONMENT = f"""\
ZOOCFGDIR=/opt/zookeeper/conf
ZOOCFG="$ZOOCFGDIR/zoo.cfg"
ZOO_LOG_DIR=/opt/zookeeper/logs
JAVA=/usr/bin/java
JMXDISABLE=true
[ -f "$ZOOCFGDIR/zookeeper-env.sh" ] && . "$ZOOCFGDIR/zookeeper-env.sh"
CLASSPATH="$ZOOCFGDIR:{ZOOKEEPER_JARS}"
SERVER_JVMFLAGS="-Xmx${{ZK_SERVER_HEAP:-1000}}m {_SHORT_LIVED} $SERVER_JVMFLAGS"
CLIENT_JVMFLAGS="-Xmx${{ZK_CLIENT_HEAP:-256}}m {_SHORT_LIVED} $CLIENT_JVMFLAGS"
"""


def install_zookeeper(disk: Disk) -> None:
    """Install ZooKeeper as in its AMI; Debian's scripts read the environment file beside them."""
    disk.write("/opt/zookeeper/bin/zkEnv.sh", _ENVIRONMENT)
    disk.path("/opt/zookeeper/conf").mkdir(parents=True)
    for script in ("zkServer.sh", "zkCli.sh"):
        link = disk.path(f"/opt/zookeeper/bin/{script}")
        link.symlink_to(f"/usr/share/zookeeper/bin/{script}")
