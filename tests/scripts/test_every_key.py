"""Every key of the configuration, changed on a complete deployment: nothing is lost or doubled.

A change is refused before the first write, with what to do; or it is made, and the machines, the
disks and the keys that were there still are. What a plan terminates it says.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.config import Config
from aws_setup.config.network import Network
from aws_setup.config.openwhisk import OpenWhisk
from aws_setup.config.vms import Vms
from aws_setup.rehearsal.demo.helm import CHART
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from aws_setup.rehearsal.openwhisk.server import PUBLIC_ROUTES, OpenWhiskServer, serve
from tests.pause.deployment import SMALL
from tests.support.aws import client
from tests.support.cluster import CONFIG, ConfiguredLab, Lab, resolve_load_balancers
from tests.support.copies import SHARED, shared_cloud
from tests.support.kube import tool
from tests.support.scripts import NO_SOFTWARE, register_key

pytestmark = pytest.mark.timeout(240)

SCRIPTS: Mapping[str, ModuleType] = {
    "create": create_aws_infrastructure,
    "configure": configure_eks_cluster,
}

DEPLOYED: dict[str, Any] = {**CONFIG, **SMALL, **NO_SOFTWARE, "num_namenode_deployments": 1}

ELSEWHERE = frozenset(
    {"aws_profile", "aws_region", "aws_account_id", "infrastructure_json_path", "ssh_key_path",
     "ssh_keypair_name", "kubeconfig_path", "kube_context", "no_color", "permissions_boundary"}
)  # fmt: skip
"""Keys of credentials, of files on this computer and of what it shows, with tests of their own."""

SOFTWARE = frozenset(
    {*NO_SOFTWARE, "ssh_config_path", "require_host_keys", "zookeeper_jvm_heap_size",
     "zk_node_public_IPs", "ndb_num_cpus", "ndb_data_memory", "ndb_shared_global_memory",
     "ndb_sql_scripts_dir", "ndb_database", "ndb_user", "ndb_password", "ndb_root_password",
     "copy_operator_key"}
)  # fmt: skip
"""Keys of the software on the machines, which tests/software changes on machines with SSH."""

FILES = frozenset(
    {"openwhisk_chart", "openwhisk_chart_ref", "openwhisk_chart_folder", "update_openwhisk_chart",
     "openwhisk_values", "openwhisk_tls_cert", "openwhisk_tls_key", "openwhisk_tls_arn",
     "openwhisk_api_port"}
)  # fmt: skip
"""Keys of charts, values, certificates and the API, which test_configure_values and _tls change."""

AMI = "ami-01d2cba66e4fe4e1e"

VALUES: Mapping[str, Any] = {
    "profile": "small",
    "spot": ["invokers", "clients"],
    "auto_pause_after": "2d",
    "deployment_name": "other",
    "tags": {"Team": "storage"},
    "user_public_ip": "52.94.76.8",
    "operators": ["203.0.113.7"],
    "vpc_name": "other",
    "vpc_id": "vpc-0123456789abcdef0",
    "subnet_ids": [f"subnet-0123456789abcdef{number}" for number in range(4)],
    "vpc_cidr": "10.0.0.0/17",
    "public_subnet_cidrs": ["10.0.0.0/20", "10.0.32.0/20"],
    "private_subnet_cidrs": ["10.0.128.0/20", "10.0.160.0/20"],
    "availability_zones": ["us-east-1c", "us-east-1d"],
    "security_group_name": "other",
    "eks_cluster_name": "other",
    "eks_iam_role_name": "other",
    "kubernetes_version": "1.35",
    "eks_addon_versions": {"coredns": "v1.12.1-eksbuild.2"},
    "eks_public_access_cidrs": ["203.0.113.0/24"],
    "eks_log_types": ["api"],
    "zookeeper_private_ips": ["10.0.8.1"],
    "ndb_manager_private_ip": "10.0.6.1",
    "num_ndb_datanodes": 4,
    "autoscaling_group_desired_capacity": 2,
    "eks_node_role_name": "other",
    "cluster_admins": ["arn:aws:iam::123456789012:role/lambda-fs-eks-cluster-role"],
    "kubeconfig_file": "other.kubeconfig",
    "openwhisk_release": "other",
    "openwhisk_namespace": "other",
    "openwhisk_access_cidrs": ["203.0.113.0/24"],
    "openwhisk_action_memory": 8000,
    "openwhisk_invoker_image_tag": "other",
    "namenode_image": "example.com/namenode:2",
    "openwhisk_tls_name": "other",
}
"""Another value of each key that is no switch, number, type or AMI."""

REFUSED: Mapping[str, frozenset[str]] = {
    "create": frozenset(
        {"deployment_name", "public_subnet_cidrs", "private_subnet_cidrs", "vpc_cidr",
         "availability_zones", "eks_cluster_name", "eks_iam_role_name", "kubernetes_version",
         "zookeeper_private_ips", "ndb_manager_private_ip", "profile"}
    ),
    "configure": frozenset(
        {"deployment_name", "eks_cluster_name", "eks_node_role_name", "kubernetes_version",
         "eks_nodes_public", "openwhisk_release", "openwhisk_namespace",
         "openwhisk_core_instance_type", "openwhisk_invoker_instance_type"}
    ),
}  # fmt: skip
"""Script -> the keys whose change it has to refuse: it would lose or double something."""


@pytest.fixture(scope=SHARED)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfiguredLab]:
    """A deployment that both scripts have made, without the software on its VMs."""
    folder = tmp_path_factory.mktemp("world") / "laptop"
    folder.mkdir()
    with ExitStack() as stack:
        cloud = stack.enter_context(shared_cloud())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        hooks = stack.enter_context(EksApiServers(cloud))
        patch.setattr(socket, "getaddrinfo", resolve_load_balancers)
        whisk = OpenWhiskServer()
        patch.setitem(PUBLIC_ROUTES, "/invokers/healthy/count", lambda _: invokers_of(hooks))
        url = stack.enter_context(serve(whisk))
        programs = folder / "bin"
        programs.mkdir()
        (programs / "helm").symlink_to(tool("helm", "3.17"))
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        patch.chdir(folder)
        register_key(folder, "key")
        made: Any = Lab(cloud, None, whisk, folder, hooks, dict(DEPLOYED))  # type: ignore[arg-type]
        chart = str(shutil.copytree(CHART, folder / "chart"))
        made.save(openwhisk_chart=chart, openwhisk_api_port=int(url.rsplit(":", 1)[1]))
        made.run("create", script=create_aws_infrastructure)
        made.api = hooks.apis["zoo"]
        made.run("configure")
        yield ConfiguredLab(cloud, folder, made, Path(os.environ["HOME"]))


def invokers_of(hooks: EksApiServers) -> int:
    """Return how many invokers are ready in the cluster, however many the last change made."""
    held = hooks.apis["zoo"].state.get("statefulsets", "owdev-invoker", "openwhisk")
    return int((held or {}).get("status", {}).get("readyReplicas") or 0)


def other_values(key: str) -> list[Any]:
    """Return other values of a key than the deployment's."""
    if key in VALUES:
        return [VALUES[key]]
    field = Config.model_fields[key]
    now = DEPLOYED.get(key, field.default)
    if isinstance(now, bool):
        return [not now]
    if isinstance(now, int):
        return [now + 1, *([now - 1] if now else []), *([0] if now > 1 else [])]
    return ["m5.large"] if key.endswith("_type") else [AMI]


def scripts_of(key: str) -> Sequence[str]:
    """Return the scripts that have steps for a key: those of its section of the configuration."""
    # From an address that the cluster does not admit configure cannot be run, as on AWS.
    if key in {*Network.model_fields, *Vms.model_fields, "user_public_ip"}:
        return ("create",)
    return ("configure",) if key in OpenWhisk.model_fields else ("create", "configure")


CHANGED = sorted(Config.model_fields.keys() - ELSEWHERE - SOFTWARE - FILES)


def kept(lab: Lab) -> dict[str, set[str]]:
    """Return what holds data, or is known to others by its id: it must outlive every change."""
    ec2 = client("ec2")
    listed = ec2.describe_instances()["Reservations"]
    items = [item for group in listed for item in group["Instances"]]
    vms = [item for item in items if not _in_group(item) and item["State"]["Name"] == "running"]
    disks = [disk["Ebs"]["VolumeId"] for vm in vms for disk in vm["BlockDeviceMappings"]]
    claims = lab.api.state.all("persistentvolumeclaims", "openwhisk")
    volumes = lab.api.state.all("persistentvolumes")
    secrets = [
        f"{item['metadata']['name']} {sorted((item.get('data') or {}).items())}"
        for item in lab.api.state.all("secrets", "openwhisk")
        if item["metadata"]["name"] == "owdev-lambda-fs"
    ]
    return {
        "VMs": {item["InstanceId"] for item in vms},
        "disks": set(disks),
        "claims": {item["metadata"]["uid"] for item in claims},
        "volumes": {item["metadata"]["uid"] for item in volumes},
        "networks": {item["VpcId"] for item in ec2.describe_vpcs()["Vpcs"]},
        "clusters": set(client("eks").list_clusters()["clusters"]),
        "keys of OpenWhisk": set(secrets),
    }


def _in_group(instance: dict[str, Any]) -> bool:
    return any(tag["Key"] == "aws:autoscaling:groupName" for tag in instance["Tags"])


def nodes_of() -> dict[str, set[str]]:
    """Return the ids of each node group's machines."""
    filters = [{"Name": "instance-state-name", "Values": ["running"]}]
    listed = client("ec2").describe_instances(Filters=filters)["Reservations"]
    found: dict[str, set[str]] = {}
    for item in (item for group in listed for item in group["Instances"]):
        tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        if name := tags.get("eks:nodegroup-name"):
            found.setdefault(name, set()).add(item["InstanceId"])
    return found


def test_every_key_has_another_value_or_tests_of_its_own() -> None:
    assert set(CHANGED) >= VALUES.keys()
    assert Config.model_fields.keys() >= ELSEWHERE | SOFTWARE | FILES


@pytest.mark.parametrize("key", CHANGED)
def test_a_change_loses_and_doubles_nothing(
    world: ConfiguredLab, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    lab = world.enter_lab(monkeypatch)
    monkeypatch.chdir(lab.folder)
    for value in other_values(key):
        lab.save(**{key: value})
        for name in scripts_of(key):
            change(lab, name, key)
    lab.save(**{key: DEPLOYED.get(key)})


def change(lab: Lab, name: str, key: str) -> None:
    """Run a script after a change, and check what it refuses, says and keeps."""
    before, writes, had = kept(lab), len(lab.cloud.calls.writes()), nodes_of()
    document = lab.run(name, code=None, script=SCRIPTS[name])
    actions = {row["name"]: row["action"] for row in document["steps"]}
    if document["result"] == "refused":
        assert all(problem["hint"] for problem in document["problems"])
        assert len(lab.cloud.calls.writes()) == writes
        assert kept(lab) == before
        return
    assert key not in REFUSED[name], actions
    assert document["result"] == "ok", document["problems"]
    after = kept(lab)
    lost = {what: before[what] - after[what] for what in before}
    assert not any(lost.values()), (lost, actions)
    assert after["networks"] == before["networks"]
    assert after["clusters"] == before["clusters"]
    for group, machines in had.items():
        if machines - nodes_of().get(group, set()):
            shown = [line for line in lab.stderr.splitlines() if group in line]
            assert any("nodes" in line or "terminated" in line for line in shown), lab.stderr
