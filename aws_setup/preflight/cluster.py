"""Preflight of the second script: permissions, certificate, memory, nodes and their prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from aws_setup.aws.advice import advice
from aws_setup.aws.cluster import cluster_of
from aws_setup.aws.context import Context, Step
from aws_setup.aws.pricing import price
from aws_setup.aws.tags import certificate_path
from aws_setup.eks.access_entries import AccessEntries
from aws_setup.eks.active_cluster import require_cluster
from aws_setup.eks.addons import Addon
from aws_setup.eks.kubeconfig import Kubeconfig, kubeconfig_path
from aws_setup.eks.node_group_problems import REPLACED
from aws_setup.eks.node_groups import CONFIG, VERSION, NodeGroup
from aws_setup.eks.oidc import OidcProvider, issuer_of
from aws_setup.engine.plan import Row
from aws_setup.engine.step import Action, DriftKey
from aws_setup.errors import Refused, SetupError
from aws_setup.infrastructure.iam import ManagedRole, NodeRole
from aws_setup.infrastructure.instances import active_instances
from aws_setup.kube.connect import of_kubeconfig
from aws_setup.openwhisk import chart, existing_certificate, helm
from aws_setup.openwhisk.certificate import load_user_pair
from aws_setup.openwhisk.certificate_steps import ServerCertificate
from aws_setup.openwhisk.manifest_checks import docker_problems
from aws_setup.openwhisk.public_address import NO_ADDRESS, PublicAddress, audience, ranges
from aws_setup.openwhisk.release import HelmRelease
from aws_setup.openwhisk.secrets import read_secrets
from aws_setup.openwhisk.secrets_step import SecretsStep
from aws_setup.openwhisk.user_values import user_values
from aws_setup.preflight import (
    access_ranges,
    architectures,
    key_pair,
    local_files,
    namenode_cpu,
    namenode_memory,
    permissions,
    public_ip,
    quotas,
    repeat,
    subnet_addresses,
)
from aws_setup.preflight.checks import HINT_UNCHECKED, Preflight, charges_of
from aws_setup.preflight.iam_policy import CONFIGURE_ACTIONS
from aws_setup.preflight.planned import Launch, PlannedResources
from aws_setup.preflight.results import Finding, refuse, warn
from aws_setup.preflight.simulator import simulate


def run(ctx: Context, rows: Sequence[Row]) -> Preflight:
    """Check what a plan is going to create on the cluster.

    Raises:
        Refused: helm or git is missing, the chart or the user's certificate cannot be used.
    """
    check(ctx)
    for problem in docker_problems((), user_values(ctx.config)):
        ctx.warn(problem)
    return Preflight(
        identity=ctx.aws.identity,
        zones=(),
        operator_cidrs=ctx.defaults.operator_cidrs,
        kubernetes_version="",
        findings=(
            *_permissions(ctx, rows),
            *_certificate(ctx),
            *_invokers(ctx, rows),
            *namenode_memory.check(ctx),
            *namenode_memory.heap_findings(ctx.config),
            *namenode_cpu.check(ctx),
            *_nodes(ctx, rows),
            *_access(ctx, rows),
            *_chart(ctx, rows),
            *_repeated(ctx),
            *local_files.check(_written(ctx, rows)),
        ),
        prices=price(ctx.aws, charges_of(ctx, rows)),
        remarks=(f"OpenWhisk will be reachable from {audience(ctx)}.",),
    )


def prepare(ctx: Context) -> None:
    """Check that the cluster exists, and put the caller's address into the context.

    Raises:
        Refused: the cluster does not exist, or cannot become usable.
    """
    require_cluster(ctx)
    ctx.defaults = replace(ctx.defaults, **public_ip.known(ctx.config))


def _invokers(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Refuse a release without invokers, where the run is about the release."""
    if not any(row.step.name == HelmRelease.name for row in rows):
        return ()
    return namenode_memory.no_invokers(ctx.config)


def _access(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Refuse a public load balancer that nobody or too many could reach; warn of private ones."""
    created = {row.step.name for row in rows if row.action is Action.CREATE}
    changed = created | {row.step.name for row in rows if row.action is Action.UPDATE}
    too_many = access_ranges.findings(ctx, changed, created=created)
    if too_many or PublicAddress.name not in created:
        return too_many
    if not ranges(ctx):
        return [refuse(*NO_ADDRESS)]
    return public_ip.private_addresses(ctx)


def _permissions(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Check that the caller may create what is missing, before the first part is created."""
    arn = ctx.aws.identity.arn
    if arn.endswith(":root"):
        return ()
    required: dict[str, dict[str, None]] = {}
    for row in rows:
        creates = row.action is Action.CREATE
        # An update of the access entries creates those that are missing.
        creates = creates or (row.action is Action.UPDATE and isinstance(row.step, AccessEntries))
        for action in CONFIGURE_ACTIONS.get(row.step.name, ()) if creates else ():
            required.setdefault(_resource(ctx, row.step, action), {})[action] = None
    actions_of = {resource: list(actions) for resource, actions in required.items()}
    actions_of |= permissions.lock_actions(ctx)
    return advice(
        lambda: permissions.findings_of(arn, simulate(ctx, actions_of)),
        lambda why: [permissions.unchecked(why)],
    )


def _certificate(ctx: Context) -> Sequence[Finding]:
    """Check the user's certificate in ACM or IAM; raises Refused when it cannot be used."""
    if not ctx.config.openwhisk_tls_arn:
        return ()

    def inspect() -> list[Finding]:
        existing_certificate.check_existing_certificate(ctx)
        return []

    hint = "see the events of the load balancer's Service if it has no listener"
    return advice(inspect, lambda why: [warn("openwhisk_tls_arn could not be checked", why, hint)])


def _repeated(ctx: Context) -> Sequence[Finding]:
    """Check what --from and eks_addon_versions ask for."""
    what = "the deployment to repeat could not be checked"
    return advice(
        lambda: repeat.findings_of_cluster(ctx), lambda why: [warn(what, why, HINT_UNCHECKED)]
    )


def _written(ctx: Context, rows: Sequence[Row]) -> dict[Path, str]:
    """Return the files outside the deployment's own folder that a run writes, each with its fix."""
    files: dict[Path, str] = {}
    if any(isinstance(row.step, Kubeconfig) and row.error is None for row in rows):
        files[kubeconfig_path(ctx)] = "set kubeconfig_file or KUBECONFIG to another file"
    if ctx.config.write_wskprops:
        files[Path.home() / ".wskprops"] = "set write_wskprops: False, or repair the file"
    if chart.is_remote(ctx.config):
        files[chart.cache() / "chart"] = "set XDG_CACHE_HOME to a folder that you may write"
    return files


def _chart(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Say which commit a branch is at, and install that one, whatever is pushed in the meantime."""
    config = ctx.config
    ref, source = config.openwhisk_chart_ref, config.openwhisk_chart
    new = any(row.step.name == HelmRelease.name and row.action is Action.CREATE for row in rows)
    follows = chart.is_remote(config) and not chart.COMMIT.match(ref)
    if not follows or not (new or config.update_openwhisk_chart):
        return ()
    keys = read_secrets(ctx) if SecretsStep.name in ctx.found else None
    if keys and chart.pinned_commit(config, keys.chart):
        return ()
    try:
        commit = chart.resolve(config)
    except SetupError as error:
        return [refuse(problem.what, problem.why, problem.hint) for problem in error.problems]
    ctx.defaults = replace(ctx.defaults, chart_commit=commit)
    what = f"openwhisk_chart_ref {ref} is no commit: whoever can push to it chooses what is run"
    why = f"it is commit {commit} of {source} now; this run installs that one, and it stays there"
    hint = f"inspect that commit, then set openwhisk_chart_ref: {commit}"
    return [warn(what, why, hint)]


def _resource(ctx: Context, step: Step, action: str) -> str:
    """Return the ARN to simulate an action on; a policy may allow single roles and clusters."""
    prefix, account = f"arn:{ctx.aws.identity.arn.split(':')[1]}", ctx.aws.identity.account
    if action.startswith("eks:"):
        cluster = f"cluster/{ctx.config.eks_cluster_name}"
        return f"{prefix}:eks:{ctx.aws.region}:{account}:{cluster}"
    if action == "iam:PassRole":
        role = step.spec.role if isinstance(step, Addon) else None
        step = role or NodeRole()
    if isinstance(step, ManagedRole):
        return f"{prefix}:iam::{account}:role/{step.role_name(ctx)}"
    if isinstance(step, ServerCertificate):
        return f"{prefix}:iam::{account}:server-certificate{certificate_path(ctx.config)}openwhisk"
    if isinstance(step, OidcProvider):
        return f"{prefix}:iam::{account}:oidc-provider/{issuer_of(cluster_of(ctx))}"
    return "*"


def _nodes(ctx: Context, rows: Sequence[Row]) -> Sequence[Finding]:
    """Check the key pair, the vCPU quota and the addresses for the nodes to be launched."""
    launches = tuple(launch for row in rows for launch in _launched_nodes(ctx, row))
    if not launches:
        return ()
    planned = PlannedResources(ctx, frozenset(), launches)
    findings: list[Finding] = []
    for subject, check_planned in (
        ("the nodes' architecture", architectures.check),
        ("the key pair", key_pair.check),
        ("the quotas", quotas.check),
        ("the subnets' addresses", subnet_addresses.check_nodes),
    ):
        what = f"{subject} could not be checked"
        findings += advice(
            lambda check_planned=check_planned: check_planned(planned).findings,  # type: ignore[misc]
            lambda why, what=what: (warn(what, why, HINT_UNCHECKED),),  # type: ignore[misc]
        )
    return findings


def _launched_nodes(ctx: Context, row: Row) -> Iterator[Launch]:
    """Yield the nodes of a group that is made, made again, or gets more of them.

    A group that EKS replaces node by node launches none in addition, and needs the key pair.
    """
    if not isinstance(row.step, NodeGroup) or row.action not in (Action.CREATE, Action.UPDATE):
        return
    nodes, keys = row.step.nodes, {drift.key for drift in row.found.drift} if row.found else set()
    present = len(active_instances(ctx, nodes.group)) if row.found else 0
    if REPLACED in keys:
        present = 0  # its old nodes count against the quota of the other market
    if row.found is None or keys & {CONFIG, VERSION, DriftKey.STATUS, REPLACED}:
        count = max(0, nodes.count - present)
        yield Launch(nodes.group, "", nodes.instance_type, count, spot=nodes.spot)


def check(ctx: Context) -> None:
    """Refuse before the first write what would otherwise fail after half an hour.

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
            "a certificate cannot be used without its private key",
            "set both, or neither",
        )
    if config.openwhisk_tls_cert and config.openwhisk_tls_key:
        cert, key = Path(config.openwhisk_tls_cert), Path(config.openwhisk_tls_key)
        load_user_pair(cert, key, now=ctx.clock.today())
    if config.kubeconfig_path or config.kube_context:
        of_kubeconfig(ctx)
