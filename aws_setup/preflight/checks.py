"""Preflight: every check before the first write, in parallel, with all findings at once.

`run` checks what a plan is going to create, and chooses values that the configuration does not set.
Nothing in this module writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.identity import Identity
from aws_setup.aws.pricing import Prices, price
from aws_setup.config.cross_checks import discouraged_settings
from aws_setup.engine.plan import Row
from aws_setup.engine.reads import Reads
from aws_setup.engine.step import CostItem
from aws_setup.errors import Problem
from aws_setup.preflight import (
    access_ranges,
    addresses,
    administrators,
    adopted_network,
    ami_storage,
    amis,
    architectures,
    key_pair,
    kubernetes_versions,
    namenode_cpu,
    namenode_memory,
    permissions,
    public_ip,
    quotas,
    repeat,
    roles,
    subnet_addresses,
    zones,
)
from aws_setup.preflight.planned import PlannedResources, planned_resources
from aws_setup.preflight.results import AGAIN, CheckResult, Finding, Severity, warn

__all__ = ["Finding", "Preflight", "Severity", "run"]

Check = Callable[[PlannedResources], CheckResult]


def _namenodes(planned: PlannedResources) -> CheckResult:
    """Check what configure would refuse after half an hour and the price of ten machines."""
    creates = planned.creates("eks cluster")
    if not creates:
        return CheckResult.of(())
    ctx, types = planned.ctx, planned.instance_types
    found = [*namenode_memory.no_invokers(ctx.config), *namenode_memory.check(ctx, types)]
    found += [*namenode_memory.heap_findings(ctx.config), *namenode_cpu.check(ctx, types)]
    return CheckResult.of(found)


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "the key pair": key_pair.check,
        "the AMIs": amis.check,
        "the copies of the AMIs": ami_storage.check,
        "the nodes' architecture": architectures.check,
        "the zones": zones.choose,
        "the quotas": quotas.check,
        "the existing network": adopted_network.check,
        "the subnets' addresses": subnet_addresses.check,
        "the fixed addresses": addresses.check,
        "the permissions": permissions.check,
        "the roles of nodes and drivers": roles.check,
        "the cluster's administrators": administrators.check,
        "your address": public_ip.check,
        "who is let in": access_ranges.check,
        "the Kubernetes version": kubernetes_versions.choose,
        "the NameNodes' memory": _namenodes,
        "the deployment to repeat": repeat.check,
    }
)
"""Subject of a check -> the check."""


HINT_UNCHECKED = f"{AGAIN}; or continue: AWS itself refuses what is not possible"
"""Fix of a check that AWS does not answer for this caller."""


@dataclass(frozen=True)
class Preflight:
    """The findings of the checks, the values they chose, and the prices."""

    identity: Identity
    zones: tuple[str, ...]
    operator_cidrs: tuple[str, ...]
    kubernetes_version: str
    findings: tuple[Finding, ...]
    prices: Prices
    remarks: tuple[str, ...] = ()
    """Lines to print below the plan."""

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """The findings because of which the run must not start."""
        return self._of(Severity.REFUSE)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The findings that are warnings only."""
        return self._of(Severity.WARN)

    def _of(self, severity: Severity) -> tuple[Problem, ...]:
        return tuple(finding.problem for finding in self.findings if finding.severity is severity)


def run(ctx: Context, rows: Sequence[Row]) -> Preflight:
    """Check what a plan is going to create, and put the chosen values into the context.

    Args:
        ctx: the run's context, with every step inspected.
        rows: the plan.

    Raises:
        SetupError: AWS does not accept the credentials.
    """
    identity = ctx.aws.identity
    planned = planned_resources(ctx, rows)
    charges = charges_of(ctx, rows)
    with Reads("check") as reads:
        prices = reads.start(partial(price, ctx.aws, charges))
        results = reads.each(lambda check: _run_check(*check, planned), CHECKS.items())
    chosen = _combine(results)
    ctx.defaults = replace(
        ctx.defaults,
        zones=chosen.zones,
        kubernetes_version=chosen.kubernetes_version or ctx.defaults.kubernetes_version,
    )
    findings = [finding for result in results for finding in result.findings]
    findings += _discouraged(ctx)
    return Preflight(
        identity=identity,
        zones=ctx.defaults.zones,
        operator_cidrs=ctx.defaults.operator_cidrs,
        kubernetes_version=ctx.defaults.kubernetes_version,
        findings=tuple(sorted(findings, key=lambda finding: finding.severity)),
        prices=price(ctx.aws, _extended_support(charges)) if chosen.extended else prices.result(),
    )


def charges_of(ctx: Context, rows: Sequence[Row]) -> list[CostItem]:
    """Return what all resources of a plan cost once they exist, without existing (adopted) ones."""
    owned = [row.step for row in rows if not row.step.adopted]
    charges = [charge for step in owned for charge in step.charges(ctx.config)]
    # Where the AMIs cannot be described, the check of the AMIs reports it.
    return charges + advice(
        lambda: [charge for step in owned for charge in step.disks(ctx)], lambda _: []
    )


def _run_check(subject: str, check: Check, planned: PlannedResources) -> CheckResult:
    """Run a check; one that fails becomes a warning that it could not be done."""

    def unchecked(why: str) -> CheckResult:
        return CheckResult.of([warn(f"{subject} could not be checked", why, HINT_UNCHECKED)])

    return advice(lambda: check(planned), unchecked)


def _extended_support(charges: Sequence[CostItem]) -> list[CostItem]:
    """Return the cost items with what extended support adds to the price of the cluster."""
    return [*charges, *(replace(it, key="eks-extended") for it in charges if it.key == "eks")]


def _combine(results: Sequence[CheckResult]) -> CheckResult:
    """Return the values that the checks chose, as one result."""
    return CheckResult(
        extended=any(result.extended for result in results),
        zones=next((result.zones for result in results if result.zones), ()),
        kubernetes_version=next(
            (result.kubernetes_version for result in results if result.kubernetes_version), ""
        ),
    )


def _discouraged(ctx: Context) -> list[Finding]:
    return [
        warn(conflict.keys[0], conflict.why, conflict.hint)
        for conflict in discouraged_settings(ctx.config)
    ]
