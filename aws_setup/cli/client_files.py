"""The clients' configuration after whisk_helper.py changed prefix, namespace or number."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from urllib.parse import urlsplit

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.config import Config
from aws_setup.engine.plan import inspect_step, to_problem
from aws_setup.engine.step import Action
from aws_setup.engine.wait import Clock
from aws_setup.errors import Problem, SetupError
from aws_setup.namenodes.connections import Session
from aws_setup.namenodes.selection import Selection
from aws_setup.openwhisk.credentials_file import read_credentials
from aws_setup.software.clients.namenode_record import (
    NAMESPACE,
    NameNodeRecord,
    read_record,
    write_record,
)


def configure_clients(
    session: Session, selection: Selection, names: Iterable[str], *, clock: Clock
) -> tuple[str, list[Problem]]:
    """Store what is deployed now, and if it is new bring the clients' files to it.

    Args:
        session: the run's connections.
        selection: the prefix of the actions.
        names: every action that exists now.
        clock: the run's clock.

    Returns:
        A line that says what was done, '' for nothing, and the problems: none ends the run.
    """
    config = session.connections.config
    number = deployments(selection.prefix, names)
    if config is None or not config.configure_clients or not number:
        return "", []
    before = read_record(config)
    try:
        namespace = _namespace(session, config)
    except SetupError as error:
        return "", [to_problem(error, step="client configuration")]
    record = NameNodeRecord(selection.prefix, namespace, number, _host(session.endpoint.url))
    same = (before.prefix, before.namespace, before.deployments) == (
        record.prefix,
        record.namespace,
        record.deployments,
    )
    if same and before.api_host in {record.api_host, ""}:
        return "", []
    write_record(config, record)
    return _run_step(session, config, clock)


def _host(url: str) -> str:
    """Return an API host's URL, '' for the end of a tunnel, which no client can reach."""
    return "" if urlsplit(url).hostname in {"127.0.0.1", "localhost"} else url


def deployments(prefix: str, names: Iterable[str]) -> int:
    """Return how many NameNode deployments exist: PREFIX0, PREFIX1, … without a gap."""
    existing = set(names)
    return next(number for number in count() if f"{prefix}{number}" not in existing)


def _namespace(session: Session, config: Config) -> str:
    """Return the namespace of the key in use; OpenWhisk is asked only about other keys."""
    credentials = read_credentials(config)
    if credentials is None or credentials.auth == session.endpoint.auth:
        return NAMESPACE
    return session.client.namespace()


def _run_step(session: Session, config: Config, clock: Clock) -> tuple[str, list[Problem]]:
    from aws_setup.tables import client_configuration_step  # paramiko and kubernetes are slow

    connections = session.connections
    step = client_configuration_step(config, ask=connections.ask)
    inventory = Inventory(connections.aws, config)
    ctx = Context(config=config, aws=connections.aws, clock=clock, inventory=inventory)
    try:
        row = inspect_step(step, ctx)
        if row.error:
            return "", [to_problem(row.error, step=step.name)]
        if row.action is not Action.UPDATE or row.found is None:
            return "", []
        found = step.update(ctx, row.found)
        return f"{step.name}: {found.state}", []
    except Exception as error:  # noqa: BLE001 -- the actions are complete: it is a warning
        return "", [to_problem(ctx.explain(error), step=step.name)]
    finally:
        step.pool.close()
        inventory.close()
