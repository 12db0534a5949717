"""The NameNodes' memory: whether all of them fit on the invoker nodes, with the arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.engine.wording import count_of
from aws_setup.openwhisk.invoker_memory import invoker_node
from aws_setup.openwhisk.namenode_image import HEAP, LEAST_MEMORY, ends_in_heap
from aws_setup.openwhisk.user_values import own_invokers, user_values
from aws_setup.preflight.results import AGAIN, Finding, refuse, warn


def check(
    ctx: Context, types: Callable[[], Mapping[str, Any]] = lambda: MappingProxyType({})
) -> Sequence[Finding]:
    """Check that the NameNodes fit on the invoker nodes; the user's Helm values override it.

    `types` returns the instance types that EC2 has described to other checks.
    """
    config = ctx.config
    pool = user_values(config).get("whisk", {}).get("containerPool", {})
    if not config.num_openwhisk_invoker_vms or "userMemory" in pool:
        return ()

    def unknown(why: str) -> list[Finding]:
        why = f"{why}; NameNodes that do not fit on their nodes stay pending"
        return [warn("the memory of the invoker nodes is unknown", why, AGAIN)]

    return advice(lambda: memory_findings(config, invoker_node(ctx, types()).memory), unknown)


def heap_findings(config: Config) -> list[Finding]:
    """Warn of a memory in which the heap of the published image's JVM does not fit."""
    memory = config.openwhisk_action_memory
    if not ends_in_heap(memory, config.namenode_image):
        return []
    return [
        warn(
            f"the NameNodes' JVM needs {LEAST_MEMORY} MB, and openwhisk_action_memory is {memory}",
            f"the published image starts it with a heap of {HEAP} MB: Kubernetes ends the "
            "container (OOMKilled) when that has grown over the memory",
            f"set openwhisk_action_memory to at least {LEAST_MEMORY}, or namenode_image to an "
            "image with a smaller -Xmx",
        )
    ]


def no_invokers(config: Config) -> list[Finding]:
    """Refuse 0 invoker nodes, unless the user's values have invokers for nodes of their own."""
    if config.num_openwhisk_invoker_vms or own_invokers(config):
        return []
    return [
        refuse(
            "num_openwhisk_invoker_vms is 0",
            "the chart gets an invoker for each of these nodes, and no NameNode runs without one",
            "set num_openwhisk_invoker_vms to at least 1; for invokers on nodes of your own, set "
            "invoker.containerFactory.kubernetes.replicaCount in openwhisk_values",
        )
    ]


def memory_findings(config: Config, available: int) -> list[Finding]:
    """Return what is wrong with the NameNodes' memory; `available` are the MB of one invoker."""
    instance_type, needed = config.openwhisk_invoker_instance_type, config.openwhisk_action_memory
    estimate = f"{instance_type} has an estimated {available} MB for actions"
    if available < needed:
        what = f"a NameNode of {needed} MB does not fit on an invoker node"
        hint = "set a larger openwhisk_invoker_instance_type, or a smaller openwhisk_action_memory"
        return [refuse(what, estimate, hint)]
    fitting = available // needed * config.num_openwhisk_invoker_vms
    if fitting < config.num_namenode_deployments:
        return [_too_many(config, estimate, available // needed)]
    return []


def _too_many(config: Config, estimate: str, each: int) -> Finding:
    """Return the refusal of more NameNodes than fit on all invokers at the same time."""
    number, invokers = config.num_namenode_deployments, config.num_openwhisk_invoker_vms
    needed, nodes = config.openwhisk_action_memory, count_of(invokers, "node")
    return refuse(
        f"{number} NameNodes of {needed} MB do not fit on {count_of(invokers, 'invoker node')}",
        f"{estimate}: {count_of(each, 'NameNode')} each, {each * invokers} on {nodes}",
        f"set num_namenode_deployments to {each * invokers} or fewer, a smaller "
        "openwhisk_action_memory, or more or larger invoker nodes",
    )
