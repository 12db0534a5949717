"""A working folder, an emulated AWS with a cluster and its Kubernetes API, real helm, a chart."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.cli.app import script_command
from aws_setup.kube.eks_token import PREFIX
from aws_setup.rehearsal.aws.eks.hooks import Endpoint, NodegroupInfo
from aws_setup.rehearsal.aws.eks.store import install_hooks
from aws_setup.rehearsal.aws.elb import DNS_SUFFIX
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.demo.helm import CHART
from aws_setup.rehearsal.kubernetes.addon_workloads import DEFAULT_ADDONS, install_addon
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import ADMINS, User
from aws_setup.rehearsal.kubernetes.controllers import database
from aws_setup.rehearsal.kubernetes.controllers.context import CloudProvider
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer
from aws_setup.rehearsal.openwhisk.server import serve as serve_whisk
from tests.support import eks
from tests.support.copies import World, shared_cloud
from tests.support.kube import tool
from tests.support.scripts import register_key

NODES = 2
CONFIG: dict[str, Any] = {
    "ssh_keypair_name": "key",
    "ssh_key_path": "key.pem",
    "eks_cluster_name": "zoo",
    "user_public_ip": "52.94.76.7",
    "num_openwhisk_core_vms": 1,
    "num_openwhisk_invoker_vms": NODES,
    "openwhisk_core_instance_type": "r5.xlarge",
    "openwhisk_invoker_instance_type": "r5.xlarge",
    "num_namenode_deployments": 1,
    "eks_nodes_public": True,
}


class LocalLoadBalancer(CloudProvider):
    """A cloud provider whose load balancers are this computer."""

    def ensure_load_balancer(self, service: KubeObject) -> str:
        return "localhost"


def authenticate(header: str) -> User:
    """Accept every token of the format that EKS accepts."""
    if not header.startswith(f"Bearer {PREFIX}"):
        raise ApiError(401, "Unauthorized", "Unauthorized")
    return User("ada", admin=True, groups=(ADMINS,))


@dataclass
class OneCluster:
    """Emulates the API server of one cluster: nodes join it, its service account is created."""

    api: KubeApiServer
    entries: list[str] = field(default_factory=list)

    def endpoint(self, *, name: str, region: str, version: str) -> Endpoint:
        import base64

        return Endpoint(self.api.url, base64.b64encode(self.api.ca_pem.encode()).decode())

    def nodegroup_changed(self, group: NodegroupInfo) -> None:
        for node in group.nodes:
            self.api.add_node(node.private_dns, zone=node.zone, **group.labels)

    def access_changed(self, *, cluster: str, entries: dict[str, dict[str, object]]) -> None:
        self.entries = sorted(entries)

    def addon_changed(self, *, cluster: str, addon: str, status: str, role_arn: str) -> None:
        if status:
            install_addon(self.api, addon, role=role_arn)

    def install_default_addons(self, *, cluster: str) -> None:
        for addon in DEFAULT_ADDONS:
            install_addon(self.api, addon)

    def deleted(self, *, name: str, region: str) -> None:
        self.api.__exit__()


_GETADDRINFO = socket.getaddrinfo


def resolve_load_balancers(host: Any, *arguments: Any, **more: Any) -> Any:
    """Resolve the names of emulated load balancers to this computer."""
    local = str(host).endswith(f".elb.{DNS_SUFFIX}")
    return _GETADDRINFO("127.0.0.1" if local else host, *arguments, **more)


@dataclass
class Lab:
    """Everything that a test of the second script uses."""

    cloud: RehearsalCloud
    api: KubeApiServer
    whisk: OpenWhiskServer
    folder: Path
    hooks: OneCluster | EksApiServers
    config: dict[str, Any]
    stderr: str = ""
    """What the last run printed on stderr."""

    def save(self, **changes: Any) -> None:
        """Change the configuration file."""
        self.config |= changes
        values = {key: value for key, value in self.config.items() if value is not None}
        (self.folder / "config_aws.yaml").write_text(yaml.safe_dump(values))

    def run(self, *words: str, code: int | None = 0, script: Any = configure_eks_cluster) -> Any:
        """Run a script to its end, which must be `code` unless that is None; return its JSON."""
        command = script_command(script.SCRIPT, folder=self.folder)
        options = ["-y", str(self.folder / "config_aws.yaml"), "--yes", "--json"]
        done = CliRunner().invoke(command, [*words, *options])
        self.stderr = done.stderr
        assert code in (None, done.exit_code), f"{words}: {done.output}\n{done.exception!r}"
        return json.loads(done.stdout)

    def destroy_everything(self) -> Any:
        """Run the first script's destroy."""
        return self.run("destroy", script=create_aws_infrastructure)

    def writes(self) -> int:
        """Return how many requests to Kubernetes were writes."""
        return sum(method != "GET" for method, _, _ in self.api.requests)

    def objects(self, plural: str, namespace: str = "openwhisk") -> list[str]:
        """Return the names of the objects of a kind."""
        return sorted(item["metadata"]["name"] for item in self.api.state.all(plural, namespace))


@contextmanager
def lab(
    cloud: RehearsalCloud,
    folder: Path,
    patch: pytest.MonkeyPatch,
    *,
    full: bool = False,
    helm: str = "3.17",
    default_addons: bool = False,
) -> Iterator[Lab]:
    """Yield a cluster without nodes and a working folder with a helm of this version.

    With `full` the cluster checks tokens and access, and its load balancers and volumes are in
    the emulated AWS. The chart is the demo's, in the folder `chart`, where a test may change it.
    With `default_addons` the cluster has the add-ons of one that others have made.
    """
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        hooks: OneCluster | EksApiServers
        if full:
            hooks = stack.enter_context(EksApiServers(cloud))
            patch.setattr(socket, "getaddrinfo", resolve_load_balancers)
        else:
            api = stack.enter_context(
                KubeApiServer(cloud_provider=LocalLoadBalancer(), authenticate=authenticate)
            )
            hooks = OneCluster(api)
            install_hooks(cloud, hooks)
        tags = {"lambda-fs:deployment": "lambda-fs", "lambda-fs:step": "eks cluster"}
        eks.make().cluster("zoo", tags=tags, bootstrapSelfManagedAddons=default_addons)
        register_key(folder, "key")
        if isinstance(hooks, EksApiServers):
            # The cluster became ACTIVE with the call above.
            api = hooks.apis["zoo"]
        whisk = OpenWhiskServer(healthy=NODES)
        api.controllers.context.job_effects.append(
            lambda pod: whisk.wipe() if database.wipes(pod) else None
        )
        url = stack.enter_context(serve_whisk(whisk))
        programs = folder / "bin"
        programs.mkdir()
        (programs / "helm").symlink_to(tool("helm", helm))
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        patch.chdir(folder)
        chart = Path(shutil.copytree(CHART, folder / "chart"))
        result = Lab(cloud, api, whisk, folder, hooks, dict(CONFIG))
        result.save(openwhisk_chart=str(chart), openwhisk_api_port=int(url.rsplit(":", 1)[1]))
        yield result


@dataclass(frozen=True)
class ConfiguredLab(World):
    """A lab in which the second script has run, for all tests of a file."""

    lab: Lab
    home: Path
    """The operator's home folder, in which the run has left files."""

    def enter_lab(self, patch: pytest.MonkeyPatch) -> Lab:
        """Point a test's environment to the lab, and return it; the test's home gets the files."""
        self.enter(patch)
        shutil.copytree(self.home, os.environ["HOME"], dirs_exist_ok=True)
        return self.lab


@contextmanager
def configured_lab(
    folder: Path, *, full: bool = False, helm: str = "3.17"
) -> Iterator[ConfiguredLab]:
    """Yield a lab with a cloud of its own, as `lab` does, after a run of the second script."""
    with (
        shared_cloud() as cloud,
        pytest.MonkeyPatch.context() as patch,
        lab(cloud, folder, patch, full=full, helm=helm) as made,
    ):
        made.run("configure")
        yield ConfiguredLab(cloud, folder, made, Path(os.environ["HOME"]))


def helms() -> list[int]:
    """Return the ids of the helm processes that this process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                parent = (folder / "stat").read_text().rpartition(") ")[2].split()[1]
            except OSError:
                continue
            if int(parent) == os.getpid() and command[0].endswith(b"/helm"):
                found.append(int(folder.name))
    return found


def private(path: Path) -> bool:
    """Say whether a file is readable for its owner only."""
    return stat.S_IMODE(path.stat().st_mode) == 0o600
