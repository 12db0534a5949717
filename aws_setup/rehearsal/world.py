"""All of a rehearsal, in one process on loopback: AWS, machines, Kubernetes, OpenWhisk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aws_setup.rehearsal.kube.hooks import KubeHooks
from aws_setup.rehearsal.machines.crowd import Crowd
from aws_setup.rehearsal.machines.keeper import keeping
from aws_setup.rehearsal.machines.room import Room, available
from aws_setup.rehearsal.machines.software import ZOOKEEPER_JARS
from aws_setup.rehearsal.server import RehearsalCloud, serve
from aws_setup.rehearsal.settings import Settings
from aws_setup.rehearsal.whisk.behind import Behind, openwhisk


@dataclass(frozen=True)
class World:
    """A running rehearsal, and what a configuration must say to use all of it."""

    cloud: RehearsalCloud
    hooks: KubeHooks
    machines: Room | Crowd
    openwhisk: Behind

    @property
    def imitated(self) -> bool:
        """Whether the machines are imitations, which have ZooKeeper and no other software."""
        return isinstance(self.machines, Crowd)

    def config(self) -> dict[str, object]:
        """Return the keys of config_aws.yaml that lead to this rehearsal."""
        keys: dict[str, object] = {
            "ssh_config_path": str(self.machines.ssh_config.resolve()),
            "openwhisk_api_port": self.openwhisk.port,
        }
        if self.imitated:
            names = ("start_ndb_cluster", "populate_mysql_ndb_tables", "format_filesystem")
            keys |= dict.fromkeys((*names, "sftp_ssh_key"), False)
        return keys


def why_imitated() -> str:
    """Return '' when real machines can run on this computer, else what they would need."""
    if reason := available():
        return reason
    if not Path(ZOOKEEPER_JARS).exists() or shutil.which("java") is None:
        return "not installed: zookeeper, or a Java runtime"
    return ""


@contextmanager
def world(
    folder: Path, settings: Settings, *, port: int = 0, imitate: bool = False
) -> Iterator[World]:
    """Run a rehearsal until the block ends.

    Args:
        folder: where the machines' disks are kept.
        settings: the cloud's.
        port: the cloud's port; 0 is any free one.
        imitate: imitate the machines also where real ones can run.

    Raises:
        OSError: the port is in use.
    """
    settings.load_balancer_host = "localhost"
    with ExitStack() as stack:
        cloud = stack.enter_context(serve(settings, port=port))
        hooks = stack.enter_context(KubeHooks(cloud))
        behind = stack.enter_context(openwhisk(cloud, hooks))
        machines = Crowd(folder) if imitate or why_imitated() else Room(folder)
        stack.enter_context(machines)
        stack.enter_context(keeping(cloud, machines))
        yield World(cloud, hooks, machines, behind)
