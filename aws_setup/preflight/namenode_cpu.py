"""The NameNodes' CPU: whether the invoker nodes have what the invokers request for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.config import Config
from aws_setup.engine.wording import count_of
from aws_setup.openwhisk.invoker_cpu import (
    CHART_TAG,
    SETTING,
    free_millicpus,
    requested_millicpus,
)
from aws_setup.openwhisk.invoker_memory import InvokerNode, invoker_node
from aws_setup.openwhisk.user_values import user_values
from aws_setup.preflight.results import Finding, refuse, warn


def check(
    ctx: Context, types: Callable[[], Mapping[str, Any]] = lambda: MappingProxyType({})
) -> Sequence[Finding]:
    """Check what the user's invoker.options request; without them each gets its node's share.

    `types` returns the instance types that EC2 has described to other checks.
    """
    config = ctx.config
    invoker = user_values(config).get("invoker") or {}
    if not config.num_openwhisk_invoker_vms or "options" not in invoker:
        return ()
    options, memory = str(invoker["options"] or ""), config.openwhisk_action_memory
    tag = str(config.openwhisk_invoker_image_tag or invoker.get("imageTag") or "")
    request = requested_millicpus(options, tag, memory=memory)
    assumed = not (tag or request)
    if assumed:
        request = requested_millicpus(options, CHART_TAG, memory=memory)
    if not request:
        return ()

    def find() -> list[Finding]:
        return cpu_findings(config, invoker_node(ctx, types()), request, assumed=assumed)

    return advice(find, lambda _: [])


def cpu_findings(
    config: Config, node: InvokerNode, request: int, *, assumed: bool = False
) -> list[Finding]:
    """Return what is wrong with the millicpus that each NameNode requests.

    Where they are `assumed` from the tag in λFS's chart, which another chart need not have, it is a
    warning.
    """
    kind, number = config.openwhisk_invoker_instance_type, config.num_namenode_deployments
    free, invokers = free_millicpus(node.vcpus), config.num_openwhisk_invoker_vms
    fitting = free // request * invokers
    if fitting >= number:
        return []
    each = -(-number // invokers)
    find = warn if assumed else refuse
    return [
        find(
            f"no room for {count_of(number, 'NameNode')} of {request} millicpus on "
            f"{count_of(invokers, 'invoker node')}",
            f"the actions on each {kind} may use {free}: {count_of(free // request, 'NameNode')} "
            f"each, {fitting} in all; the others' pods would stay Pending",
            f"set -D{SETTING}.millicpus in invoker.options of openwhisk_values to {free // each} "
            "or less, or leave invoker.options out: each NameNode then gets its share of its node; "
            "or set more or larger invoker nodes",
        )
    ]
