"""A laptop, an emulated AWS with a cluster, a Kubernetes API behind it, real helm, a chart."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.cli import script_command
from aws_setup.rehearsal.kube.hooks import KubeHooks
from aws_setup.rehearsal.kube.server import KubeApi
from aws_setup.rehearsal.server import RehearsalCloud
from aws_setup.rehearsal.whisk.server import Whisk
from aws_setup.rehearsal.whisk.server import serve as serve_whisk
from tests import eks_world
from tests.cloud import client
from tests.helm_programs import helm_program

NODES = 2
CONFIG: dict[str, Any] = {
    "ssh_keypair_name": "key",
    "ssh_key_path": "key.pem",
    "eks_cluster_name": "zoo",
    "num_openwhisk_core_vms": 1,
    "num_openwhisk_invoker_vms": NODES,
    "openwhisk_core_instance_type": "r5.xlarge",
    "openwhisk_invoker_instance_type": "r5.xlarge",
    "eks_nodes_public": True,
}


CHART = Path(__file__).parent / "charts" / "openwhisk"
_LOOK_UP = socket.getaddrinfo


def local_balancers(host: Any, *arguments: Any, **more: Any) -> Any:
    """Let the names of load balancers lead to this computer, as the only DNS there is."""
    local = str(host).endswith(".elb.amazonaws.com")
    return _LOOK_UP("127.0.0.1" if local else host, *arguments, **more)


@dataclass
class Lab:
    """Everything that a test of the second script touches."""

    cloud: RehearsalCloud
    api: KubeApi
    whisk: Whisk
    folder: Path
    hooks: KubeHooks
    config: dict[str, Any]

    def save(self, **changes: Any) -> None:
        """Change the configuration file."""
        self.config |= changes
        kept = {key: value for key, value in self.config.items() if value is not None}
        (self.folder / "config_aws.yaml").write_text(yaml.safe_dump(kept))

    def run(self, *words: str, code: int = 0, script: Any = configure_eks_cluster) -> Any:
        """Run a script to its end and return its JSON document."""
        command = script_command(script.SCRIPT, beside=self.folder)
        where = ["-y", str(self.folder / "config_aws.yaml"), "--yes", "--json"]
        done = CliRunner().invoke(command, [*words, *where])
        assert done.exit_code == code, f"{words}: {done.output}\n{done.exception!r}"
        return json.loads(done.stdout)

    def destroy_everything(self) -> Any:
        """Run the first script's destroy."""
        return self.run("destroy", script=create_aws_infrastructure)

    def writes(self) -> int:
        """Return how many requests to Kubernetes wrote something."""
        return sum(method != "GET" for method, _, _ in self.api.requests)

    def objects(self, plural: str, namespace: str = "openwhisk") -> list[str]:
        """Return the names of the objects of a kind."""
        return sorted(one["metadata"]["name"] for one in self.api.state.all(plural, namespace))


@contextmanager
def lab(cloud: RehearsalCloud, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Bring up a cluster without nodes and a laptop that has helm."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        hooks = stack.enter_context(KubeHooks(cloud))
        tags = {"lambda-fs:deployment": "lambda-fs", "lambda-fs:step": "eks cluster"}
        eks_world.make().cluster("zoo", tags=tags)
        key = client("ec2").create_key_pair(KeyName="key")["KeyMaterial"]
        (folder / "key.pem").write_text(key)
        whisk = Whisk(healthy=NODES)
        url = stack.enter_context(serve_whisk(whisk))
        api = hooks.apis["zoo"]
        patch.setattr(socket, "getaddrinfo", local_balancers)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "helm").symlink_to(helm_program())
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        patch.chdir(folder)
        chart = shutil.copytree(CHART, folder / "chart")
        made = Lab(cloud, api, whisk, folder, hooks, dict(CONFIG))
        made.save(openwhisk_chart=str(chart), openwhisk_api_port=int(url.rsplit(":", 1)[1]))
        yield made


def private(path: Path) -> bool:
    """Say whether only its owner may read a file."""
    return stat.S_IMODE(path.stat().st_mode) == 0o600
