"""The CPU of a NameNode: its share of an invoker node, so that only memory limits their number.

An invoker requests CPU for each container by its setting cpu-scaling, `millicpus` for each `memory`
and at least once, as request and as limit (calculateCpu in
https://github.com/apache/openwhisk/blob/3e6138d/core/invoker/src/main/scala/org/apache/openwhisk/core/containerpool/kubernetes/WhiskPodBuilder.scala).
The images of λFS's chart have it built in: with 6.25 CPUs, as the tag 6.25vcpu-40gb says, no
container runs on 4 CPUs, and two on 16. A system property overrides it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_setup.config import bounded_yaml
from aws_setup.config.regular_files import read_file
from aws_setup.openwhisk.immutable_fields import at
from aws_setup.openwhisk.invoker_memory import InvokerNode
from aws_setup.openwhisk.values import merge

SETTING = "whisk.kubernetes.cpu-scaling"
"""https://github.com/apache/openwhisk/blob/3e6138d/core/invoker/src/main/resources/application.conf"""

KUBELET_SHARES = (60, 10, 5, 5)
"""Millicpus of the first four CPUs that EKS's AMIs reserve; 2.5 of each further one.

https://github.com/awslabs/amazon-eks-ami (nodeadm, kubelet configuration)
"""

PODS = 500
"""Millicpus for the invoker and the pods of the network, proxy and storage add-ons on its node."""

BUILT_IN = re.compile(r"(?P<cpus>\d+(?:\.\d+)?)vcpu-(?P<gigabytes>\d+)gb")
"""The tag of an invoker of λFS: the CPUs of each container, and of how many GB."""

CHART_TAG = "6.25vcpu-40gb"
"""The tag in λFS's chart."""

_PROPERTY = re.compile(rf"-D{re.escape(SETTING)}\.(millicpus|memory|max-millicpus)=(\d+)")

MEGABYTES = re.compile(r"(\d+)m", re.IGNORECASE)


def cpu_share(vcpus: int, containers: int) -> int:
    """Return how many millicpus each of a node's containers may request, at least 1.

    Args:
        vcpus: the vCPUs of the instance type.
        containers: how many containers its memory has room for.
    """
    return max(1, free_millicpus(vcpus) // max(1, containers))


def free_millicpus(vcpus: int) -> int:
    """Return how many millicpus of an invoker node its actions may request."""
    reserved = sum(KUBELET_SHARES[:vcpus]) + int(2.5 * max(0, vcpus - len(KUBELET_SHARES)))
    return max(0, 1000 * vcpus - reserved - PODS)


def requested_millicpus(options: str, tag: str, *, memory: int) -> int:
    """Return the millicpus that an invoker requests for a container, 0 for none.

    Args:
        options: the user's invoker.options.
        tag: the tag of the invokers' image, whose setting the options override.
        memory: the MB of the container.
    """
    setting: dict[str, int] = {}
    if built := BUILT_IN.search(tag):
        cpus, megabytes = int(1000 * float(built["cpus"])), 1000 * int(built["gigabytes"])
        setting = {"millicpus": cpus, "memory": megabytes, "max-millicpus": cpus}
    setting |= {name: int(value) for name, value in _PROPERTY.findall(options)}
    each, per = setting.get("millicpus", 0), setting.get("memory", 0)
    if not each or not per:
        return 0
    return min(max(memory // per * each, each), setting.get("max-millicpus", each))


def with_cpu_share(
    folder: Path, values: Mapping[str, Any], node: InvokerNode, *, memory: int
) -> dict[str, Any]:
    """Return the values with the options that give each container its share of the node's CPU.

    Options that the values have already are the user's, and stay.

    Args:
        folder: the chart, whose own options are kept.
        values: the values of the release, those of the user included.
        node: an invoker node.
        memory: the MB of a NameNode.
    """
    if "options" in (values.get("invoker") or {}):
        return dict(values)
    given = MEGABYTES.fullmatch(str(at(values, "whisk.containerPool.userMemory")))
    share = cpu_share(node.vcpus, (int(given[1]) if given else node.memory) // memory)
    wanted = {"millicpus": share, "memory": f"{memory}m", "max-millicpus": share}
    options = [f"-D{SETTING}.{name}={value}" for name, value in wanted.items()]
    return merge(values, {"invoker": {"options": " ".join([*_default(folder), *options])}})


def _default(folder: Path) -> list[str]:
    """Return the options in the chart's own values, none where helm would find none either."""
    try:
        defaults: Any = bounded_yaml.load(read_file(folder / "values.yaml"))
    except (OSError, bounded_yaml.BadYaml, ValueError):
        return []
    return str(at(defaults or {}, "invoker.options") or "").split()
