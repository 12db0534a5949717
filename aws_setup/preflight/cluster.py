"""Preflight of the second script: what its nodes cost, and whether the account may have them."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws_errors import explain
from aws_setup.cluster.nodegroups import NodeGroup
from aws_setup.cluster.tables import check
from aws_setup.plan import Row
from aws_setup.preflight import Preflight, charges_of, keypair, quotas
from aws_setup.preflight.findings import Finding, warn
from aws_setup.preflight.needs import Launch, Needs
from aws_setup.pricing import price
from aws_setup.steps import Action, Context


def run(ctx: Context, rows: Sequence[Row]) -> Preflight:
    """Check what a plan is going to make on the cluster.

    Raises:
        Refused: helm or git is missing, the chart or the user's certificate cannot be used.
    """
    check(ctx)
    return Preflight(
        identity=ctx.aws.identity,
        zones=(),
        operator_cidr="",
        kubernetes_version="",
        findings=tuple(_nodes(ctx, rows)),
        prices=price(ctx.aws, charges_of(ctx, rows)),
    )


def _nodes(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Check the key pair and the vCPU quota for the nodes that are still to be launched."""
    groups = [
        row.step.nodes
        for row in rows
        if isinstance(row.step, NodeGroup) and row.action is Action.CREATE
    ]
    launches = tuple(Launch(one.group, "", one.instance_type, one.count) for one in groups)
    if not launches:
        return ()
    needs = Needs(ctx, frozenset(), launches)
    found: list[Finding] = []
    for about, look in (("the key pair", keypair.check), ("the quotas", quotas.check)):
        try:
            found += look(needs).findings
        except (ClientError, BotoCoreError) as error:
            hint = "the run may go on; what is wrong there shows when AWS refuses a node"
            found.append(warn(f"{about} could not be checked", str(explain(error)), hint))
    return found
