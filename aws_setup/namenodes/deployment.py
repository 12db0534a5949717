"""What the NameNodes' configuration should say: OpenWhisk's address, and the deployment's VMs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS, to_setup_error
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.namenodes.action import CurrentAction
from aws_setup.namenodes.connections import Connections, Session
from aws_setup.namenodes.request import Request
from aws_setup.openwhisk.credentials_file import read_credentials
from aws_setup.software.clients.desired import DeploymentFacts, endpoint_url
from aws_setup.software.machines import ZOOKEEPER, zookeeper_machines
from aws_setup.software.zookeeper.steps import private_address


def openwhisk_facts(
    session: Session, request: Request, existing: Iterable[CurrentAction]
) -> DeploymentFacts:
    """Return what is known without AWS: the endpoint, and the number of deployments.

    Args:
        session: the run's connections.
        request: the command line.
        existing: the actions of the namespace.

    Raises:
        SetupError: OpenWhisk does not return the namespace of the key.
    """
    current = list(existing)
    namespaces = {action.namespace.partition("/")[0] for action in current} - {""}
    namespace = namespaces.pop() if namespaces else session.client.namespace()
    host = _api_host(session, request)
    return DeploymentFacts(
        endpoint_url(host, namespace, request.selection.prefix) if host else "",
        number_of_deployments(request, [action.name for action in current]),
        (),
        "",
        None,
    )


def _api_host(session: Session, request: Request) -> str:
    """Return the API host as NameNodes reach it; '' where only a tunnel to it is known."""
    if request.tunnel != "cluster":
        return session.endpoint.inside
    config = session.connections.config
    access = read_credentials(config) if config else None
    access = access or session.connections.in_cluster.access()
    return access.inside if access else ""


def number_of_deployments(request: Request, existing: Iterable[str]) -> int:
    """Return how many deployments exist after the run, as the clients count them.

    A number alone, such as that of `--names 7` in an empty namespace, counts up to the selection's
    end: the others follow in later runs.
    """
    selection = request.selection
    kept = [] if request.prune else existing
    return selection.deployments([*kept, *selection.names]) or selection.end or 0


def deployment_facts(session: Session, facts: DeploymentFacts) -> DeploymentFacts:
    """Return the facts with the addresses of the deployment's ZooKeeper VMs.

    Args:
        session: the run's connections.
        facts: what is known without AWS.

    Raises:
        SetupError: AWS does not list the VMs, or one of other ZooKeeper hosts does not answer.
    """
    connections = session.connections
    if connections.config is None:
        return facts
    try:
        ctx = _with_zookeepers(connections.context)
        return replace(facts, zookeepers=_zookeepers(ctx, connections))
    except AWS_ERRORS as error:
        raise to_setup_error(error) from error


def _with_zookeepers(ctx: Context) -> Context:
    """Return the context with the ZooKeeper VMs that exist, by the step that launches them."""
    found = dict(ctx.found)
    for group in vm_groups(ctx.config):
        if group.step == ZOOKEEPER and (machines := VmGroupStep(group).find(ctx)):
            found[group.step] = machines
    return replace(ctx, found=found)


def _addresses(ctx: Context, step: str) -> tuple[str, ...]:
    """Return the private addresses of a step's VMs, in the order of their names."""
    machines = ctx.found.get(step)
    instances = machines.facts["instances"] if machines else ()
    return tuple(str(vm["private_ip"]) for vm in instances)


def _zookeepers(ctx: Context, connections: Connections) -> tuple[str, ...]:
    if ctx.config.create_zookeeper_vms:
        return _addresses(ctx, ZOOKEEPER)
    pool = connections.pool
    return tuple(pool.each(zookeeper_machines(ctx, pool), private_address))
