"""The order of destroy: what needs a resource is deleted before it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.engine.local_files import delete_file
from aws_setup.engine.plan import Row, held_back, needed_by, removable, removal_needs
from aws_setup.engine.runner import remove
from aws_setup.engine.step import Action, Drift, DriftKey, Found, RunContext, Step
from aws_setup.engine.wait import SystemClock
from aws_setup.tables.teardown import removal_steps

UNOWNED = Drift("owner", "other", "this", "choose another name", DriftKey.OWNER)


@dataclass(frozen=True)
class Resource(Step[RunContext]):
    """A step without work."""

    name: str
    needs: tuple[str, ...] = ()
    adopted: bool = False
    ends_with: str = ""
    beside: tuple[str, ...] = ()
    within: str = ""
    deleted: list[str] = field(default_factory=list)

    def find(self, ctx: RunContext) -> Found | None:
        return None

    def create(self, ctx: RunContext) -> Found:
        return Found(self.name)

    def delete(self, ctx: RunContext, found: Found) -> None:
        self.deleted.append(self.name)


def row(name: str, *needs: str, adopted: bool = False, drift: tuple[Drift, ...] = ()) -> Row:
    step = Resource(name, needs, adopted=adopted)
    return Row(step, Action.EXISTS, Found(name, drift=drift))


TABLE = [row("vpc"), row("subnet", "vpc"), row("gateway", "vpc"), row("vm", "subnet", "gateway")]


def test_what_needs_a_resource_is_deleted_before_it() -> None:
    assert removal_needs(TABLE) == {
        "vm": set(),
        "gateway": {"vm"},
        "subnet": {"vm"},
        "vpc": {"subnet", "gateway", "vm"},
    }
    order = list(TopologicalSorter(removal_needs(TABLE)).static_order())
    assert (order[0], order[-1]) == ("vm", "vpc")


def test_needs_are_followed_through_other_steps() -> None:
    assert needed_by(TABLE, "vm") == {"subnet", "gateway", "vpc"}
    assert needed_by(TABLE, "vpc") == set()


@pytest.mark.parametrize(
    "kept",
    [
        row("subnet", "vpc", adopted=True),
        row("subnet", "vpc", drift=(UNOWNED,)),
        Row(Resource("subnet", ("vpc",)), Action.CREATE),
    ],
    ids=["adopted", "unowned", "already deleted"],
)
def test_a_step_that_is_not_deleted_still_orders_the_others(kept: Row) -> None:
    rows = [row("vpc"), kept, row("vm", "subnet")]
    assert [each.step.name for each in removable(rows)] == ["vpc", "vm"]
    assert removal_needs(rows) == {"vm": set(), "vpc": {"vm"}}


def unknown(name: str, *needs: str, within: str = "") -> Row:
    step = Resource(name, needs, within=within)
    return Row(step, Action.UNKNOWN, error=RuntimeError("denied"))


def test_what_an_unexamined_resource_may_use_is_kept() -> None:
    rows = [*TABLE[:3], unknown("vm", "subnet"), row("role"), row("key", "gateway")]
    assert held_back(rows) == {"vpc": ["vm"], "subnet": ["vm"]}
    assert [each.step.name for each in removable(rows)] == ["gateway", "role", "key"]
    assert set(removal_needs(rows)) == {"gateway", "role", "key"}


def test_what_ends_with_another_resource_holds_up_nothing() -> None:
    rows = [row("vpc"), row("cluster", "vpc"), unknown("secret", "cluster", within="cluster")]
    assert held_back(rows) == {}
    adopted = Row(Resource("vm", ("vpc",), adopted=True), Action.UNKNOWN, error=RuntimeError())
    assert held_back([row("vpc"), adopted]) == {}


def of_a_cluster(deleted: list[str], *, adopted: bool = False) -> list[Row]:
    """Return a role, a cluster, its nodes, and an add-on that ends with it and needs the role."""
    steps = [
        Resource("cluster", adopted=adopted, deleted=deleted),
        Resource("role", ("cluster",), deleted=deleted),
        Resource("nodes", ("cluster",), deleted=deleted),
        Resource("add-on", ("role", "nodes"), ends_with="cluster", deleted=deleted),
        Resource("release", ("add-on",), deleted=deleted),
    ]
    return [Row(step, Action.EXISTS, Found(step.name)) for step in steps]


def test_what_ends_with_a_resource_is_not_deleted_by_itself_and_holds_nothing_up() -> None:
    deleted: list[str] = []
    rows = of_a_cluster(deleted)
    assert removal_needs(rows) == {
        "release": set(),
        "nodes": {"release"},
        "role": {"release"},
        "cluster": {"role", "nodes", "release"},
        "add-on": {"release", "cluster"},
    }
    ctx = RunContext(clock=SystemClock())
    outcome = remove(rows, ctx, tell=lambda _: None, stop=lambda: None)
    assert set(outcome.done) == {"release", "nodes", "role", "cluster", "add-on"}
    assert deleted[0] == "release"
    assert deleted[-1] == "cluster"
    assert "add-on" not in deleted


def test_what_is_deleted_beside_others_holds_up_only_the_end() -> None:
    steps = [
        Resource("cluster"),
        Resource("nodes", ("cluster",)),
        Resource("release", ("nodes",), beside=("nodes",), within="cluster"),
    ]
    rows = [Row(step, Action.EXISTS, Found(step.name)) for step in steps]
    assert removal_needs(rows) == {
        "release": set(),
        "nodes": set(),
        "cluster": {"nodes", "release"},
    }
    stays = [replace(rows[0], found=None), *rows[1:]]
    assert removal_needs(stays) == {"release": set(), "nodes": {"release"}}


def test_what_ends_with_a_resource_that_stays_is_deleted() -> None:
    deleted: list[str] = []
    rows = of_a_cluster(deleted, adopted=True)
    remove(rows, RunContext(clock=SystemClock()), tell=lambda _: None, stop=lambda: None)
    assert deleted[:2] == ["release", "add-on"]
    assert set(deleted[2:]) == {"nodes", "role"}


def test_nothing_that_is_billed_waits_for_a_file_on_this_computer() -> None:
    """One that cannot be removed, as on a full disk, kept the cluster and its network."""
    config = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
    steps = removal_steps(config)
    needs = removal_needs([Row(step, Action.EXISTS, Found("id")) for step in steps])
    local = {step.name for step in steps if step.local}
    assert {"kubeconfig", "hand-over file"} <= local
    assert not {name: waits & local for name, waits in needs.items() if waits & local}


@dataclass(frozen=True)
class Local(Resource):
    """A file of this computer that cannot be deleted."""

    local: bool = True

    def delete(self, ctx: RunContext, found: Found) -> None:
        delete_file(Path(found.id))


@pytest.mark.kind("C7")
def test_a_file_that_cannot_be_deleted_is_a_warning_and_all_else_is_deleted(tmp_path: Path) -> None:
    ctx = RunContext(clock=SystemClock())
    file = Row(Local("file", needs=("vm",)), Action.EXISTS, Found(str(tmp_path)))
    outcome = remove([*TABLE, file], ctx, tell=lambda _: None, stop=lambda: None)
    assert (outcome.failed, outcome.blocked) == ({}, [])
    assert outcome.done == dict.fromkeys(("vm", "gateway", "subnet", "vpc"), Action.DELETE) | {
        "file": Action.EXISTS
    }
    assert [problem.hint for problem in ctx.warnings.values()] == [
        f"see what is in it, then `rm -r {tmp_path}`"
    ]
