"""Preflight: every check before the first write, in parallel, with all findings at once.

`prepare` finds out what the look at the cloud compares with; `run` checks what a plan is going to
make and chooses what the configuration leaves open. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.context import Context
from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.pricing import Prices, price
from aws_setup.aws.session import Identity
from aws_setup.config.cross_checks import discouraged_settings
from aws_setup.engine.plan import Row
from aws_setup.engine.step import CostItem
from aws_setup.errors import Problem
from aws_setup.preflight import (
    addresses,
    amis,
    key_pair,
    kubernetes_versions,
    permissions,
    public_ip,
    quotas,
    zones,
)
from aws_setup.preflight.planned import PlannedResources, planned_resources
from aws_setup.preflight.results import CheckResult, Finding, Severity, warn

__all__ = ["Finding", "Preflight", "Severity", "prepare", "run"]

Check = Callable[[PlannedResources], CheckResult]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "the key pair": key_pair.check,
        "the AMIs": amis.check,
        "the zones": zones.choose,
        "the quotas": quotas.check,
        "the fixed addresses": addresses.check,
        "the permissions": permissions.check,
        "your address": public_ip.check,
        "the Kubernetes version": kubernetes_versions.choose,
    }
)
"""What a check looks at, and the check."""


@dataclass(frozen=True)
class Preflight:
    """What the checks found, what they chose, and what everything will cost."""

    identity: Identity
    zones: tuple[str, ...]
    operator_cidr: str
    kubernetes_version: str
    findings: tuple[Finding, ...]
    prices: Prices

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """The findings because of which the run must not start."""
        return self._of(Severity.REFUSE)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The findings that are warnings only."""
        return self._of(Severity.WARN)

    def _of(self, severity: Severity) -> tuple[Problem, ...]:
        return tuple(one.problem for one in self.findings if one.severity is severity)


def prepare(ctx: Context) -> None:
    """Put the operator's address into the context: the security group is compared with it."""
    ctx.defaults = replace(ctx.defaults, operator_cidr=public_ip.operator_cidr(ctx.config))


def run(ctx: Context, rows: Sequence[Row]) -> Preflight:
    """Check what a plan is going to make, and put what was chosen into the context.

    Args:
        ctx: the run's context, after the look at the cloud.
        rows: the plan.

    Raises:
        SetupError: AWS does not accept the credentials.
    """
    identity = ctx.aws.identity
    needs = planned_resources(ctx, rows)
    with ThreadPoolExecutor(max_workers=len(CHECKS) + 1, thread_name_prefix="check") as pool:
        charges = charges_of(ctx, rows)
        prices = pool.submit(price, ctx.aws, charges)
        answers = [pool.submit(_guarded, about, check, needs) for about, check in CHECKS.items()]
        done = [answer.result() for answer in answers]
    chosen = _first(done)
    ctx.defaults = replace(
        ctx.defaults,
        zones=chosen.zones or zones.guess(needs),
        kubernetes_version=chosen.kubernetes_version or ctx.defaults.kubernetes_version,
    )
    findings = [finding for answer in done for finding in answer.findings] + _unwise(ctx)
    return Preflight(
        identity=identity,
        zones=ctx.defaults.zones,
        operator_cidr=ctx.defaults.operator_cidr,
        kubernetes_version=ctx.defaults.kubernetes_version,
        findings=tuple(sorted(findings, key=lambda finding: finding.severity)),
        prices=price(ctx.aws, _extended(charges)) if chosen.extended else prices.result(),
    )


def charges_of(ctx: Context, rows: Sequence[Row]) -> list[CostItem]:
    """Return what everything of a plan costs once it is there; adopted things are not ours."""
    ours = [row.step for row in rows if not row.step.adopted]
    charges = [charge for step in ours for charge in step.charges(ctx.config)]
    try:
        return charges + [charge for step in ours for charge in step.disks(ctx)]
    except (ClientError, BotoCoreError):
        return charges  # The AMIs cannot be looked at: the check of the AMIs says so.


def _guarded(about: str, check: Check, needs: PlannedResources) -> CheckResult:
    """Turn a question that AWS does not answer for this caller into a warning."""
    try:
        return check(needs)
    except (ClientError, BotoCoreError) as error:
        why = str(to_setup_error(error))
        hint = "the run may go on; what is wrong there shows only when AWS refuses it"
        return CheckResult.of([warn(f"{about} could not be checked", why, hint)])


def _extended(charges: Sequence[CostItem]) -> list[CostItem]:
    """Return the charges with the cluster at the price of extended support."""
    return [replace(one, key="eks-extended") if one.key == "eks" else one for one in charges]


def _first(answers: Sequence[CheckResult]) -> CheckResult:
    """Return what the checks chose, put together."""
    return CheckResult(
        extended=any(one.extended for one in answers),
        zones=next((one.zones for one in answers if one.zones), ()),
        kubernetes_version=next(
            (one.kubernetes_version for one in answers if one.kubernetes_version), ""
        ),
    )


def _unwise(ctx: Context) -> list[Finding]:
    return [
        warn(clash.keys[0], clash.why, clash.hint) for clash in discouraged_settings(ctx.config)
    ]
