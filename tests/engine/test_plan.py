"""Plans as data: what --only selects, what blocks a run, and the remark of a row."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from aws_setup.engine.plan import (
    Row,
    blockers,
    dependants,
    inspect_all,
    only,
    refusals,
    status_lines,
    to_problem,
)
from aws_setup.engine.step import Action, Drift, DriftKey, Found, RunContext, Step
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Problem, Refused, SetupError


@dataclass(frozen=True)
class Item(Step[RunContext]):
    """A step whose `find` returns or raises what it was created with."""

    name: str
    needs: tuple[str, ...] = ()
    result: Found | Exception | None = None
    adopted: bool = False

    def find(self, ctx: RunContext) -> Found | None:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def create(self, ctx: RunContext) -> Found:
        raise NotImplementedError


TABLE = (
    Item("vpc"),
    Item("subnet", ("vpc",)),
    Item("nat gateway", ("subnet",)),
    Item("machine", ("subnet",)),
)


def names(steps: list[Step[RunContext]]) -> list[str]:
    return [step.name for step in steps]


@pytest.mark.parametrize(
    ("named", "selected"),
    [
        (["vpc"], ["vpc"]),
        (["machine"], ["vpc", "subnet", "machine"]),
        (["machine", "nat gateway"], ["vpc", "subnet", "nat gateway", "machine"]),
    ],
)
def test_only_selects_the_steps_and_their_needs(named: list[str], selected: list[str]) -> None:
    assert names(only(TABLE, named)) == selected


def test_destroy_only_selects_the_steps_that_need_it() -> None:
    assert dependants(TABLE, ["subnet"]) == {"subnet", "nat gateway", "machine"}
    assert dependants(TABLE, ["machine"]) == {"machine"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nat gatway", 'use --only "nat gateway"'),
        ("Machine", 'use --only "machine"'),
        ("load balancer", "use one of these names, in quotes where it contains spaces"),
    ],
)
@pytest.mark.parametrize("select", [only, dependants])
def test_an_unknown_name_is_refused_with_the_names_and_the_closest_one(
    select: object, name: str, hint: str
) -> None:
    assert callable(select)
    with pytest.raises(Refused) as refused:
        select(TABLE, [name])
    [problem] = refused.value.problems
    assert name in problem.what
    assert all(step.name in problem.why for step in TABLE)
    assert problem.hint.startswith(hint)


def inspected(*steps: Item) -> list[Row]:
    return inspect_all(steps, RunContext(clock=SystemClock()), stop=lambda: None)


def test_the_action_follows_from_what_find_returns() -> None:
    drift = Drift("size", "8", "16")
    rows = inspected(
        Item("missing"),
        Item("same", result=Found("1")),
        Item("drifted", result=Found("2", drift=(drift,))),
        Item("conflicting", result=Found("3", drift=(drift, Drift("zone", "a", "b", "delete it")))),
        Item("existing", result=Found("4", drift=(drift,)), adopted=True),
        Item("failing", result=SetupError("no answer")),
    )
    assert {row.step.name: row.action for row in rows} == {
        "missing": Action.CREATE,
        "same": Action.EXISTS,
        "drifted": Action.UPDATE,
        "conflicting": Action.CONFLICT,
        "existing": Action.EXISTS,
        "failing": Action.UNKNOWN,
    }


def test_a_resource_of_another_deployment_is_unowned() -> None:
    owner = Drift("owner", "other", "mine", "rename it", DriftKey.OWNER)
    [row] = inspected(Item("vpc", result=Found("vpc-1", drift=(owner,))))
    assert row.unowned
    [row] = inspected(Item("vpc", result=Found("vpc-1", drift=(Drift("x", "a", "b", "fix"),))))
    assert not row.unowned


def test_blockers_are_refusals_unusable_existing_resources_and_conflicts() -> None:
    refused = Refused("no key", "it is missing", "create one")
    rows = inspected(
        Item("first", result=refused),
        Item("second", result=refused),
        Item("existing", result=SetupError("no vpc", "it is missing", "set vpc_id"), adopted=True),
        Item("failing", result=SetupError("no answer")),
        Item("zone", result=Found("1", drift=(Drift("zone", "a", "b", "delete it"),))),
        Item("size", result=Found("2", drift=(Drift("size", "8", "16"),))),
    )
    problem = Problem("no key", "it is missing", "create one")
    assert refusals(rows) == [problem], "each problem once"
    assert blockers(rows) == [
        problem,
        Problem("no vpc", "it is missing", "set vpc_id"),
        Problem(
            "zone: zone is a, but b in the configuration",
            "it cannot be changed in place",
            "delete it",
        ),
    ]


def test_a_step_is_inspected_after_its_needs_and_sees_them() -> None:
    ctx = RunContext(clock=SystemClock())

    @dataclass(frozen=True)
    class Later(Item):
        """A step that reads the result of another."""

        def find(self, ctx: RunContext) -> Found | None:
            return Found(f"in {ctx.of('vpc').id}")

    steps = [Later("subnet", ("vpc",)), Item("vpc", result=Found("vpc-1"))]
    rows = inspect_all(steps, ctx, stop=lambda: None)
    assert [row.found and row.found.id for row in rows] == ["in vpc-1", "vpc-1"]
    assert set(ctx.found) == {"vpc", "subnet"}


def test_the_state_of_a_healthy_resource_is_not_repeated() -> None:
    [row] = inspected(Item("vpc", result=Found("vpc-1", "available")))
    assert status_lines(row) == ["vpc-1"]
    [row] = inspected(Item("vpc", result=Found("vpc-1", "pending")))
    assert status_lines(row) == ["vpc-1 (pending)"]
    [row] = inspected(Item("vpc", result=Found("", "written")))
    assert status_lines(row) == ["written"]


def test_an_unexpected_error_is_named_with_its_step() -> None:
    problem = to_problem(KeyError("VpcId"), step="vpc")
    assert problem.what == "vpc: KeyError"
    assert "-v" in problem.hint
    assert to_problem(SetupError("a", "b", "c"), step="vpc") == Problem("vpc: a", "b", "c")
