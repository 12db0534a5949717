"""The Helm values of OpenWhisk: a pure function of the configuration and of what AWS says.

Names and meanings of the values are those of apache/openwhisk-deploy-kube, as changed in the λFS
branch `aws`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.config import Config
from aws_setup.eks.storage import GP3_CLASS
from aws_setup.errors import Refused
from aws_setup.openwhisk.secrets import OpenWhiskSecrets

ELB = "service.beta.kubernetes.io/aws-load-balancer"
PLACEHOLDER = "openwhisk.example.invalid"
"""API host until the load balancer's name is known; the second pass puts the name there."""

LEAST_ACTION_MEMORY = 45_000
"""MB: what the chart of λFS allows an action; never made smaller."""


HYPERVISOR_SHARE = 0.075
"""Share of an instance's memory that its operating system does not see, on the safe side.

Karpenter estimates nodes so before it has one (its setting VM_MEMORY_OVERHEAD_PERCENT).
"""

KUBELET_MIB, POD_MIB, EVICTION_MIB = 255, 11, 100
"""What EKS's AMIs keep from pods: for the kubelet, for each pod that fits, before eviction.

https://github.com/awslabs/amazon-eks-ami (nodeadm, kubelet configuration)
"""

INVOKER_MIB = 4_096
"""For the invoker itself and the pods of the network, proxy and storage add-ons on its node."""

STEM_CELLS = 2 * 40_000
"""MB that the chart of λFS keeps warm on each invoker, where they fit."""


@dataclass(frozen=True)
class ValuesInput:
    """What the values need beside the configuration.

    `host` is the load balancer's name, '' before it is known; `user_memory` the MB of an invoker
    node that its actions may use; `certificate` the ARN that the load balancer shows.
    """

    certificate: str
    user_memory: int
    keys: OpenWhiskSecrets = field(repr=False)
    host: str = ""


def user_memory(node_mib: int, *, pods: int) -> int:
    """Return how many MB of an invoker node its actions may use: an estimate on the safe side.

    Every action is a pod that asks for its memory, so all of them have to fit beside what the
    hypervisor, the kubelet and the pods of the node itself take.

    Args:
        node_mib: the memory of the instance type, in MiB.
        pods: how many pods the node can hold.
    """
    seen = int(node_mib * (1 - HYPERVISOR_SHARE))
    return max(1024, seen - KUBELET_MIB - POD_MIB * pods - EVICTION_MIB - INVOKER_MIB)


def memory_of(instance_type: Mapping[str, Any]) -> int:
    """Return the same for an instance type as EC2 describes it.

    Each network interface keeps one of its addresses; two pods use the node's own.
    """
    network = instance_type.get("NetworkInfo", {})
    interfaces = int(network.get("MaximumNetworkInterfaces", 8))
    addresses = int(network.get("Ipv4AddressesPerInterface", 30))
    mib = int(instance_type["MemoryInfo"]["SizeInMiB"])
    return user_memory(mib, pods=interfaces * (addresses - 1) + 2)


def values(config: Config, facts: ValuesInput) -> dict[str, Any]:
    """Return the values of the release, before the user's own are merged in."""
    memory = max(LEAST_ACTION_MEMORY, config.openwhisk_action_memory)
    return {
        "whisk": {
            "ingress": _ingress(config, facts),
            "auth": {"system": facts.keys.system, "guest": facts.keys.guest},
            "containerPool": {"userMemory": f"{facts.user_memory}m"},
            "limits": {"actions": {"memory": {"max": f"{memory}m"}}},
        },
        "db": {"auth": {"password": facts.keys.database}},
        "k8s": {
            "persistence": {
                "hasDefaultStorageClass": False,
                "explicitStorageClass": GP3_CLASS,
            }
        },
        "invoker": _invoker(config),
    }


def _ingress(config: Config, facts: ValuesInput) -> dict[str, Any]:
    """Return the values of the API's address; the chart's port names decide where TLS ends."""
    annotations = {
        f"{ELB}-ssl-cert": facts.certificate,
        f"{ELB}-ssl-ports": "https",
        # Any value but "false" makes the load balancer internal. Not null: where a chart does not
        # have the key, helm passes null on, and Kubernetes then drops every annotation.
        f"{ELB}-internal": "true" if config.openwhisk_internal else "false",
        f"{ELB}-additional-resource-tags": f"{DEPLOYMENT_TAG}={config.deployment_name},"
        f"{STEP_TAG}=openwhisk release,Project=LambdaFS",
    }
    return {
        "type": "LoadBalancer",
        "apiHostName": facts.host or PLACEHOLDER,
        "apiHostPort": config.openwhisk_api_port,
        "apiHostProto": "http" if config.openwhisk_api_port == 80 else "https",
        "awsSSL": "true",
        "annotations": annotations,
    }


def _invoker(config: Config) -> dict[str, Any]:
    """Return the invoker's values; nodes run containerd, so the Docker factory cannot work."""
    count = config.num_openwhisk_invoker_vms
    wanted: dict[str, Any] = {
        "containerFactory": {"impl": "kubernetes", "kubernetes": {"replicaCount": count}}
    }
    if config.openwhisk_invoker_image_tag:
        wanted["imageTag"] = config.openwhisk_invoker_image_tag
    return wanted


def merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return both documents merged, as helm merges values: `theirs` goes before `ours`."""
    merged = dict(ours)
    for key, value in theirs.items():
        mine = merged.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(mine, value) if both else value  # type: ignore[arg-type]
    return merged


def changed_keys(has: Mapping[str, Any], wants: Mapping[str, Any], above: str = "") -> list[str]:
    """Return the dotted names of the values that differ; never the values: some are secret."""
    found = []
    for key in sorted({*has, *wants}):
        name, one, other = f"{above}{key}", has.get(key), wants.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += changed_keys(one, other, f"{name}.")
        elif one != other:
            found.append(name)
    return found


def user_values(config: Config) -> dict[str, Any]:
    """Return the user's own values, empty when there is no file.

    Raises:
        Refused: the file cannot be read, or is not a YAML mapping.
    """
    if not config.openwhisk_values:
        return {}
    path = Path(config.openwhisk_values)
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unusable(path, " ".join(str(error).split())) from error
    if loaded is not None and not isinstance(loaded, dict):
        raise _unusable(path, "it does not hold keys and values")
    return loaded or {}


def _unusable(path: Path, why: str) -> Refused:
    return Refused(
        f"openwhisk_values: {path} cannot be used", why, "correct the file, or remove the key"
    )


def fingerprint(wanted: Mapping[str, Any], chart: str) -> str:
    """Return the short text by which a release says from which values and chart it was made."""
    text = json.dumps([wanted, chart], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
