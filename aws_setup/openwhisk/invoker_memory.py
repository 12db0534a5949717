"""How much memory of an invoker node the NameNodes may use, and its CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from aws_setup.aws.context import Context

HYPERVISOR_SHARE = 0.075
"""Share of an instance's memory that its operating system cannot use, estimated conservatively.

The default of Karpenter's setting VM_MEMORY_OVERHEAD_PERCENT.
"""

KUBELET_MIB, POD_MIB, EVICTION_MIB = 255, 11, 100
"""MiB that EKS's AMIs reserve: for the kubelet, for each possible pod, and as eviction threshold.

https://github.com/awslabs/amazon-eks-ami (nodeadm, kubelet configuration)
"""

INVOKER_MIB = 4_096
"""MiB for the invoker and the pods of the network, proxy and storage add-ons on its node."""


@dataclass(frozen=True)
class InvokerNode:
    """A node of an invoker: the MB that its actions may use, and its vCPUs."""

    memory: int
    vcpus: int


def user_memory(node_mib: int, *, pods: int) -> int:
    """Return how many MB of an invoker node its actions may use, as a conservative estimate.

    Every action is a pod that requests its memory, so all of them have to fit beside the memory
    of the hypervisor, the kubelet and the node's other pods.

    Args:
        node_mib: the memory of the instance type, in MiB.
        pods: how many pods the node can run.
    """
    usable = int(node_mib * (1 - HYPERVISOR_SHARE))
    return max(1024, usable - KUBELET_MIB - POD_MIB * pods - EVICTION_MIB - INVOKER_MIB)


def memory_of(instance_type: Mapping[str, Any]) -> int:
    """Return how many MB actions may use on an instance type, as EC2 describes it.

    Each network interface keeps one of its addresses for itself; two pods use the node's address.
    """
    network = instance_type.get("NetworkInfo", {})
    interfaces = int(network.get("MaximumNetworkInterfaces", 8))
    addresses = int(network.get("Ipv4AddressesPerInterface", 30))
    mib = int(instance_type["MemoryInfo"]["SizeInMiB"])
    return user_memory(mib, pods=interfaces * (addresses - 1) + 2)


def invoker_node(ctx: Context, types: Mapping[str, Any] = MappingProxyType({})) -> InvokerNode:
    """Return what an invoker node has for its actions, from EC2's data on its type.

    `types` are the instance types that EC2 has described already, by their names.
    """
    kind = ctx.config.openwhisk_invoker_instance_type
    found = types.get(kind)
    if found is None:
        answer = ctx.aws.ec2.describe_instance_types(InstanceTypes=[kind])  # type: ignore[list-item]
        found = answer["InstanceTypes"][0]
    return InvokerNode(memory_of(found), int(found["VCpuInfo"]["DefaultVCpus"]))
