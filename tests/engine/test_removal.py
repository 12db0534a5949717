"""The order of destroy: what needs a resource is deleted before it."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.runner import needed_by, removable, removal_needs
from aws_setup.engine.step import Action, Drift, DriftKey, Found, RunContext, Step

UNOWNED = Drift("owner", "other", "this", "choose another name", DriftKey.OWNER)


@dataclass(frozen=True)
class Resource(Step[RunContext]):
    """A step without work."""

    name: str
    needs: tuple[str, ...] = ()
    adopted: bool = False

    def find(self, ctx: RunContext) -> Found | None:
        return None

    def create(self, ctx: RunContext) -> Found:
        return Found(self.name)


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
