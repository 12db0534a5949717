"""The clients' configuration after whisk_helper.py changed prefix, namespace or number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from aws_setup.aws.context import Context
from aws_setup.aws.inventory import Inventory
from aws_setup.config import Config
from aws_setup.engine.plan import to_problem
from aws_setup.engine.wait import Clock
from aws_setup.errors import Problem, SetupError
from aws_setup.namenodes.connections import Session
from aws_setup.namenodes.selection import Selection
from aws_setup.openwhisk.credentials_file import read_credentials
from aws_setup.software.clients.namenode_record import (
    NAMESPACE,
    NameNodeRecord,
    stored_record,
    write_record,
)


@dataclass(frozen=True)
class ClientsResult:
    """What became of the clients' files: `text` says what was done, '' for nothing.

    `problems` are those of clients, which the next run continues with. A `warning` says why it is
    not known whether there are any, as without AWS credentials.
    """

    text: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def configure_clients(
    session: Session,
    selection: Selection,
    names: Iterable[str],
    *,
    clock: Clock,
    before_write: Callable[[], None] = lambda: None,
) -> ClientsResult:
    """Store what is deployed now, and if it is new bring the clients' files to it.

    Args:
        session: the run's connections.
        selection: the prefix of the actions.
        names: every action that exists now.
        clock: the run's clock.
        before_write: called before anything is written.
    """
    config = session.connections.config
    number = selection.deployments(names)
    if config is None or not config.configure_clients or not number:
        return ClientsResult()
    before = stored_record(config)
    try:
        namespace = _namespace(session, config)
    except SetupError as error:
        return ClientsResult(warnings=(to_problem(error, step="client configuration"),))
    record = NameNodeRecord(selection.prefix, namespace, number, _host(session.endpoint.inside))
    if before and _same(before, record):
        return ClientsResult()
    before_write()
    write_record(config, replace(record, pending=True))
    result = _run_step(session, config, clock)
    if not result.problems:
        write_record(config, record)
    return result


def _same(before: NameNodeRecord, record: NameNodeRecord) -> bool:
    """Whether the clients have been brought to what is deployed now."""
    known = replace(before, api_host=record.api_host)
    return known == record and before.api_host in {record.api_host, ""}


def _host(url: str) -> str:
    """Return an API host's URL, '' for the end of a tunnel, which no client can reach."""
    return "" if urlsplit(url).hostname in {"127.0.0.1", "localhost"} else url


def _namespace(session: Session, config: Config) -> str:
    """Return the namespace of the key in use; OpenWhisk is asked only about other keys."""
    credentials = read_credentials(config)
    if credentials is None or credentials.auth == session.endpoint.auth:
        return NAMESPACE
    return session.client.namespace()


def _run_step(session: Session, config: Config, clock: Clock) -> ClientsResult:
    from aws_setup.tables.software import (
        client_configuration_step,  # paramiko and kubernetes are slow
    )

    connections = session.connections
    step = client_configuration_step(config)
    inventory = Inventory(connections.aws, config)
    ctx = Context(config=config, aws=connections.aws, clock=clock, inventory=inventory)
    try:
        found = step.find(ctx)
        if found is None or not found.drift:
            return ClientsResult()
        return ClientsResult(f"{step.name}: {step.update(ctx, found).state}")
    except SetupError as error:
        problems = [replace(item, what=f"{step.name}: {item.what}") for item in error.problems]
        return ClientsResult(problems=tuple(problems))
    except Exception as error:  # noqa: BLE001 -- AWS's: the actions are complete, and none is sent
        return ClientsResult(warnings=(to_problem(ctx.explain(error), step=step.name),))
    finally:
        step.pool.close()
        inventory.close()
