"""Preflight of the second script: what its nodes cost, and whether the account may have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.context import Context, Step
from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.pricing import price
from aws_setup.eks.access_entries import AccessEntries
from aws_setup.eks.addons import Addon
from aws_setup.eks.node_groups import NodeGroup
from aws_setup.eks.oidc import OidcProvider, issuer_of
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action
from aws_setup.errors import Refused, SetupError
from aws_setup.infrastructure.iam import ManagedRole, NodeRole
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import cluster_of
from aws_setup.openwhisk import chart, existing_certificate, helm
from aws_setup.openwhisk.certificate import load_user_pair
from aws_setup.openwhisk.certificate_steps import ServerCertificate, path_prefix
from aws_setup.openwhisk.release import invoker_memory
from aws_setup.openwhisk.values import STEM_CELLS, user_values
from aws_setup.preflight import key_pair, permissions, quotas
from aws_setup.preflight.checks import Preflight, charges_of
from aws_setup.preflight.iam_policy import CONFIGURE_ACTIONS
from aws_setup.preflight.planned import Launch, PlannedResources
from aws_setup.preflight.results import Finding, refuse, warn


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
        findings=(*_permissions(ctx, rows), *_certificate(ctx), *_memory(ctx), *_nodes(ctx, rows)),
        prices=price(ctx.aws, charges_of(ctx, rows)),
    )


def _permissions(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Check that the caller may make what is missing, before half of it is there."""
    arn = ctx.aws.identity.arn
    if arn.endswith(":root"):
        return ()
    asked: dict[str, dict[str, None]] = {}
    for row in rows:
        made = row.action is Action.CREATE
        # Whoever is missing gets an entry, also where others have theirs.
        made = made or (row.action is Action.UPDATE and isinstance(row.step, AccessEntries))
        for action in CONFIGURE_ACTIONS.get(row.step.name, ()) if made else ():
            asked.setdefault(_resource(ctx, row.step, action), {})[action] = None
    try:
        listed = {resource: list(actions) for resource, actions in asked.items()}
        return permissions.judged(arn, permissions.simulated(ctx.aws, arn, listed))
    except (ClientError, BotoCoreError) as error:
        return [permissions.unchecked(error)]


def _certificate(ctx: Context) -> Sequence[Finding]:
    """Check a certificate that the user keeps in AWS; Refused when it cannot serve."""
    if not ctx.config.openwhisk_tls_arn:
        return ()
    try:
        existing_certificate.check_existing_certificate(ctx)
    except (ClientError, BotoCoreError) as error:
        hint = "if it cannot serve, the load balancer's events say so"
        return [warn("openwhisk_tls_arn could not be checked", str(to_setup_error(error)), hint)]
    return ()


def _resource(ctx: Context, step: Step, action: str) -> str:
    """Return the ARN on which an action is simulated; a policy may name roles and clusters."""
    start, account = f"arn:{ctx.aws.identity.arn.split(':')[1]}", ctx.aws.identity.account
    if action.startswith("eks:"):
        cluster = f"cluster/{ctx.config.eks_cluster_name}"
        return f"{start}:eks:{ctx.aws.region}:{account}:{cluster}"
    if action == "iam:PassRole":
        role = step.spec.role if isinstance(step, Addon) else None
        step = role or NodeRole()
    if isinstance(step, ManagedRole):
        return f"{start}:iam::{account}:role/{step.role_name(ctx)}"
    if isinstance(step, ServerCertificate):
        return f"{start}:iam::{account}:server-certificate{path_prefix(ctx.config)}openwhisk"
    if isinstance(step, OidcProvider):
        return f"{start}:iam::{account}:oidc-provider/{issuer_of(cluster_of(ctx))}"
    return "*"


def _memory(ctx: Context) -> Sequence[Finding]:
    """Check that a NameNode fits on an invoker node; the user's own values go before ours."""
    config = ctx.config
    own = user_values(config).get("whisk", {}).get("containerPool", {})
    if not config.num_openwhisk_invoker_vms or "userMemory" in own:
        return ()
    kind, wanted = config.openwhisk_invoker_instance_type, config.openwhisk_action_memory
    try:
        room = invoker_memory(ctx)
    except (ClientError, BotoCoreError) as error:
        hint = "NameNodes that are too large for their nodes stay pending"
        return [
            warn("the memory of the invoker nodes is not known", str(to_setup_error(error)), hint)
        ]
    said = f"{kind} leaves {room} MB to actions, by estimate"
    if room < wanted:
        what = f"a NameNode of {wanted} MB does not fit on an invoker node"
        hint = "set a larger openwhisk_invoker_instance_type, or a smaller openwhisk_action_memory"
        return [refuse(what, said, hint)]
    if room < STEM_CELLS:
        what = "the containers that λFS keeps warm do not fit on an invoker node"
        why = f"{said}, and its chart wants two of 40000 MB: NameNodes start cold"
        return [warn(what, why, "r5.4xlarge is the smallest of its family that holds them")]
    return ()


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
    needs = PlannedResources(ctx, frozenset(), launches)
    found: list[Finding] = []
    for about, look in (("the key pair", key_pair.check), ("the quotas", quotas.check)):
        try:
            found += look(needs).findings
        except (ClientError, BotoCoreError) as error:
            hint = "the run may go on; what is wrong there shows when AWS refuses a node"
            found.append(warn(f"{about} could not be checked", str(to_setup_error(error)), hint))
    return found


def check(ctx: Context) -> None:
    """Refuse before the first write what would fail after half an hour.

    Raises:
        Refused: helm or git is missing, the chart, the user's certificate or kubeconfig cannot
            be used.
    """
    config = ctx.config
    helm.find_helm()
    chart.check_source(config)
    user_values(config)
    if bool(config.openwhisk_tls_cert) != bool(config.openwhisk_tls_key):
        raise Refused(
            "only one of openwhisk_tls_cert and openwhisk_tls_key is set",
            "a certificate serves only with its key",
            "set both, or neither",
        )
    if config.openwhisk_tls_cert and config.openwhisk_tls_key:
        cert, key = Path(config.openwhisk_tls_cert), Path(config.openwhisk_tls_key)
        load_user_pair(cert, key, now=ctx.clock.today())
    if config.kubeconfig_path or config.kube_context:
        try:
            KubeClient.of_kubeconfig(config.kubeconfig_path, config.kube_context, ctx.clock)
        except SetupError as error:
            raise Refused.all(error.problems) from error
