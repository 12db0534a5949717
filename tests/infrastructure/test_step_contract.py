"""Every step of the infrastructure: absent, created, found, unchanged, deleted, absent again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.aws.inventory import Inventory
from aws_setup.cli.aws_commands import open_aws
from aws_setup.config import Config
from aws_setup.config.loader import load_config
from aws_setup.engine.plan import Row, inspect_all, needs_of, only, removal_needs
from aws_setup.engine.runner import Outcome, apply, remove
from aws_setup.engine.step import Action, Found
from aws_setup.engine.wait import SystemClock
from aws_setup.infrastructure.network import MARKER_GROUP
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.teardown import infrastructure_teardown_steps
from create_aws_infrastructure import SCRIPT
from tests.support.scripts import prepare


@contextmanager
def context(folder: Path) -> Iterator[Context]:
    """Open AWS as a run of the script does, with a new inventory."""
    config = load_config(folder / "config_aws.yaml", environ=os.environ)
    aws = open_aws(config)
    ctx = Context(config=config, aws=aws, clock=SystemClock(), inventory=Inventory(aws, config))
    SCRIPT.story().prepare(ctx)
    try:
        yield ctx
    finally:
        ctx.inventory.close()


def table(folder: Path) -> list[Step]:
    """Return every step of the infrastructure."""
    with context(folder) as ctx:
        return infrastructure_steps(ctx.config)


def layers(steps: Sequence[Step]) -> Iterator[list[str]]:
    """Yield the names of the steps whose needs exist, layer by layer."""
    sorter = TopologicalSorter(needs_of(steps))
    sorter.prepare()
    while sorter.is_active():
        ready = list(sorter.get_ready())
        yield ready
        sorter.done(*ready)


def create_steps(folder: Path, names: Sequence[str]) -> tuple[Mapping[str, Row], Outcome]:
    """Create steps and what they need; return the plan before, and the outcome."""
    with context(folder) as ctx:
        rows = inspect_all(only(infrastructure_steps(ctx.config), names), ctx, stop=lambda: None)
        if any(row.action is Action.CREATE for row in rows):
            checked = SCRIPT.story().preflight(ctx, rows)
            assert checked is not None
            assert checked.refusals == ()
        outcome = apply(rows, ctx, tell=lambda _: None, stop=lambda: None)
    assert (outcome.failed, outcome.blocked) == ({}, []), names
    return {row.step.name: row for row in rows}, outcome


def test_every_step_from_absent_to_absent(cloud: RehearsalCloud, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "work")
    empty = cloud.snapshot()
    for names in layers(table(folder)):
        before, made = create_steps(folder, names)
        # The VPC's marker is created with the VPC.
        first = {name: Action.EXISTS if name == MARKER_GROUP else Action.CREATE for name in names}
        assert {name: before[name].action for name in names} == first
        others = {row.action for name, row in before.items() if name not in names}
        assert others <= {Action.EXISTS}, names
        writes = len(cloud.calls.writes())
        found, again = create_steps(folder, names)
        for name, row in found.items():
            assert row.found is not None, name
            assert row.found.drift == (), name
            assert row.found.ready, name
            assert row.found.id, name
        assert set(again.done) == set(made.done)
        assert set(again.done.values()) == {Action.EXISTS}, names
        assert len(cloud.calls.writes()) == writes, f"{names}: a second create writes nothing"
    delete_all(folder)
    with context(folder) as ctx:
        rows = inspect_all(infrastructure_teardown_steps(ctx.config), ctx, stop=lambda: None)
    assert {row.step.name for row in rows if row.action is not Action.CREATE} == set()
    assert cloud.snapshot() == empty


def delete_all(folder: Path) -> None:
    """Delete everything; every step that exists must be deleted."""
    with context(folder) as ctx:
        rows = inspect_all(infrastructure_teardown_steps(ctx.config), ctx, stop=lambda: None)
        outcome = remove(rows, ctx, tell=lambda _: None, stop=lambda: None)
    assert (outcome.failed, outcome.blocked) == ({}, [])
    assert set(outcome.done) >= {step.name for step in table(folder)}


def test_the_internet_gateway_is_deleted_after_what_may_have_a_public_address() -> None:
    steps = infrastructure_teardown_steps(Config(ssh_keypair_name="k", ssh_key_path="k"))
    before = removal_needs([Row(step, Action.EXISTS, Found(step.name)) for step in steps])
    public = {step.name for step in steps if step.part in ("machines", "auto scaling")}
    assert len(public) > 8
    templates = {name for name in public if name.startswith("launch template")}
    nodes = {"eks cluster", "core-nodes", "invoker-nodes", "nat gateway"}
    assert public - templates | nodes <= before["internet gateway"]
    assert before["vpc"] > before["internet gateway"]
