"""A complete rehearsal in one process on loopback: AWS, machines, Kubernetes, OpenWhisk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aws_setup.config.amis import DEFAULT_AMIS
from aws_setup.rehearsal.core.server import RehearsalCloud, serve
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.load_balancer import OpenWhiskFrontend, serve_openwhisk
from aws_setup.rehearsal.openwhisk.namenode import VmServices
from aws_setup.rehearsal.vms import images
from aws_setup.rehearsal.vms.disk import Disk
from aws_setup.rehearsal.vms.ec2_sync import AMI_INSTALLERS, sync_vms
from aws_setup.rehearsal.vms.gateway import Gateway
from aws_setup.rehearsal.vms.images import ZOOKEEPER_JARS
from aws_setup.rehearsal.vms.inprocess_vms import InProcessVmPool
from aws_setup.rehearsal.vms.namespace_vms import (
    ImageInstaller,
    NamespaceVmPool,
    missing_requirement,
)
from aws_setup.rehearsal.vms.services import InProcessServices, NamespaceServices
from aws_setup.rehearsal.vms.vm_init import INTERNAL_HOST
from aws_setup.software.sql.scripts import ORDER


@dataclass(frozen=True)
class Environment:
    """A running rehearsal, and the configuration keys that use all of it."""

    cloud: RehearsalCloud
    hooks: EksApiServers
    machines: NamespaceVmPool | InProcessVmPool
    openwhisk: OpenWhiskFrontend

    @property
    def missing_programs(self) -> str:
        """The programs of λFS's VMs that these lack, '' when λFS can be verified on them."""
        if self.imitated:
            return "MySQL NDB and Hadoop"
        return "MySQL NDB" if lacks_mariadb() else ""

    @property
    def imitated(self) -> bool:
        """Whether the machines are imitated; those have ZooKeeper and no other software."""
        return isinstance(self.machines, InProcessVmPool)

    def config(self) -> dict[str, object]:
        """Return the keys of config_aws.yaml for this rehearsal."""
        keys: dict[str, object] = {
            "ssh_config_path": str(self.machines.ssh_config.resolve()),
            "openwhisk_api_port": self.openwhisk.port,
        }
        if self.imitated:
            names = ("start_ndb_cluster", "populate_mysql_ndb_tables", "format_filesystem")
            keys |= dict.fromkeys((*names, "sftp_ssh_key"), False)
        elif not lacks_mariadb():
            keys["ndb_sql_scripts_dir"] = str(self._sql_scripts())
        return keys

    def _sql_scripts(self) -> Path:
        folder = self.machines.folder.resolve() / "sql"
        return folder if folder.exists() else write_scripts(folder)


NDB_MANAGER_AMI = DEFAULT_AMIS["ndb_manager_ami"].id
MARIADB_PROGRAMS = ("mariadb-install-db", "mariadbd")


def lacks_mariadb() -> bool:
    """Return whether MariaDB, the real database of the emulated mysqld, is not installed."""
    return any(shutil.which(name) is None for name in MARIADB_PROGRAMS)


@contextmanager
def vm_image_contents(folder: Path) -> Iterator[Mapping[str, tuple[ImageInstaller, ...]]]:
    """Yield each AMI's installers; the NDB manager's database is created in the background."""
    if lacks_mariadb():
        yield AMI_INSTALLERS
        return
    with ThreadPoolExecutor(1) as pool:
        template = pool.submit(images.create_mariadb_template, folder / "mariadb")

        def database(tree: Disk) -> None:
            images.install_database(tree, template.result())

        yield {**AMI_INSTALLERS, NDB_MANAGER_AMI: (images.install_ndb_manager, database)}


def reason_for_inprocess_vms() -> str:
    """Return '' when real machines can run on this computer, else what is missing."""
    if reason := missing_requirement():
        return reason
    if not Path(ZOOKEEPER_JARS).exists() or shutil.which("java") is None:
        return "not installed: zookeeper, or a Java runtime"
    return ""


@contextmanager
def run_environment(
    folder: Path, settings: Settings, *, port: int = 0, imitate: bool = False
) -> Iterator[Environment]:
    """Run a rehearsal until the block ends.

    Args:
        folder: the folder of the machines' disks.
        settings: the cloud's settings.
        port: the cloud's port; 0 is any free port.
        imitate: imitate the machines also where real ones can run.

    Raises:
        OSError: the port is in use.
    """
    settings.load_balancer_host = "localhost"
    settings.internal_load_balancer_host = INTERNAL_HOST
    with ExitStack() as stack:
        cloud = stack.enter_context(serve(settings, port=port))
        hooks = stack.enter_context(EksApiServers(cloud))
        frontend = stack.enter_context(serve_openwhisk(cloud, hooks))
        imitated = imitate or reason_for_inprocess_vms()
        gateway = Gateway(frontend.port, frontend.connect_from_vm)
        machines: NamespaceVmPool | InProcessVmPool = (
            InProcessVmPool(folder, gateway=gateway)
            if imitated
            else NamespaceVmPool(folder, gateway=gateway)
        )
        stack.enter_context(machines)
        frontend.connect_namenodes(_services(machines))
        amis = AMI_INSTALLERS if imitated else stack.enter_context(vm_image_contents(folder))
        stack.enter_context(sync_vms(cloud, machines, amis=amis))
        yield Environment(cloud, hooks, machines, frontend)


def _services(machines: NamespaceVmPool | InProcessVmPool) -> VmServices:
    if isinstance(machines, InProcessVmPool):
        return InProcessServices(machines)
    return NamespaceServices(machines)


def script_environment(url: str, speed: float) -> dict[str, str]:
    """Return the environment variables that point the scripts to the emulated cloud."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SETUP_CHECKIP": f"{url}/_rehearsal/checkip",
        "AWS_SETUP_REGISTRY": f"{url}/_rehearsal/registry",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
        "AWS_SETUP_PACE": f"{1 / speed:g}" if speed else "0",
    }


def shell_commands(pairs: dict[str, str], *, path: str = "") -> str:
    """Return the lines that set variables and prepend a folder to PATH, for each shell."""
    posix = [f"export {name}={value}" for name, value in pairs.items()]
    fish = [f"set -gx {name} {value}" for name, value in pairs.items()]
    power = [f'$env:{name} = "{value}"' for name, value in pairs.items()]
    if path:
        posix.insert(0, f'export PATH="{path}:$PATH"')
        fish.insert(0, f'set -gx PATH "{path}" $PATH')
        power.insert(0, f'$env:PATH = "{path}{os.pathsep}" + $env:PATH')
    lines = ["# sh, bash, zsh", *posix, "", "# fish", *fish, "", "# PowerShell", *power]
    return "\n".join(lines)


SCHEMA = """\
-- Tables of the file system; each statement ends with a semicolon; even in 'quotes;'
delimiter $$

CREATE TABLE `hdfs_inodes` (
  `id` BIGINT NOT NULL, `parent_id` BIGINT NOT NULL, `name` VARCHAR(255) NOT NULL DEFAULT '; $',
  PRIMARY KEY (`parent_id`, `name`)
) ENGINE=ndbcluster DEFAULT CHARSET=latin1 $$

CREATE TABLE `hdfs_variables` (`id` INT NOT NULL PRIMARY KEY, `value` VARBINARY(500)
) ENGINE=ndbcluster $$

CREATE PROCEDURE simpleproc (OUT param1 INT)
BEGIN
  SELECT COUNT(*) INTO param1 FROM hdfs_inodes; -- not an end; of the statement
END$$
"""


def write_scripts(folder: Path, *, user: str = "") -> Path:
    """Write every SQL script, with `user` also create_user.sql; returns the folder."""
    folder.mkdir()
    for index, name in enumerate(ORDER):
        (folder / name).write_text(f"CREATE TABLE t{index} (id INT PRIMARY KEY) ENGINE=NDB;\n")
    (folder / "schema.sql").write_text(SCHEMA)
    if user:
        (folder / "create_user.sql").write_text(
            f"CREATE USER '{user}'@'%' IDENTIFIED BY 'from-the-script';\n"
        )
    return folder
