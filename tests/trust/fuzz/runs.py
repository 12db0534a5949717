"""Generated configurations: loaded, planned without a write, created and destroyed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import seed as seeded

from aws_setup.config import load_config
from aws_setup.errors import Refused
from tests.support.preflight import NO_SOFTWARE, Operator, one_line
from tests.trust.fuzz.configurations import configurations
from tests.trust.fuzz.search import Unfit, check_error, drawing, failure
from tests.trust.permissions import operator

Configuration = dict[str, Any]

OWN = {"ssh_keypair_name": "k", "ssh_key_path": "k.pem"}


def load(folder: Path, *, number: int, seed: int) -> tuple[list[Configuration], str]:
    """Return the configurations that are accepted, of so many, and how one fails; '' for none."""
    accepted: list[Configuration] = []

    @seeded(seed)
    @drawing(number)
    @given(made=configurations())
    def attempt(made: Configuration) -> None:
        path = folder / "config_aws.yaml"
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in {**OWN, **made}.items()]
        path.write_text("".join(lines))
        try:
            load_config(path)
        except Refused as error:
            check_error(error)
        else:
            accepted.append(made)

    return accepted, failure(attempt)


def planned(user: Operator, made: Configuration) -> str:
    """Return what is wrong with a plan of a configuration; '' for nothing."""
    return failure(lambda: _check_run(user, made, "plan", writes=False))


def created(user: Operator, made: Configuration) -> str:
    """Return what is wrong with create and destroy of a configuration; '' for nothing."""
    # The operator's cloud has no machines to log in to; tests/trust/cliffs.py has them.
    kept = {key: value for key, value in made.items() if key not in NO_SOFTWARE}

    def attempt() -> None:
        before = _existing(user)
        code = _check_run(user, kept, "create", "--yes", writes=True)
        if code == 0 and _existing(user) == before:
            raise Unfit("nothing was created")
        gone = _check_run(user, kept, "destroy", "--yes", writes=True) == 0
        if gone and (left := _existing(user) - before):
            raise Unfit(f"left: {sorted(left)}")

    return failure(attempt)


def outcomes(*, number: int, seed: int) -> tuple[int, str]:
    """Return how many configurations were tried, and what is wrong with some; '' for nothing.

    Of so many that are loaded each fiftieth is planned and each hundredth created.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        accepted, why = load(Path(folder), number=number, seed=seed)
    # The first ones of a search are the smallest.
    plans, creates = accepted[-(number // 50) :], accepted[-(number // 100) :]
    with operator() as user:
        user.cloud.settings.policies = []
        found = [f"{made}\n{text}" for made in plans if (text := planned(user, made))]
        found += [f"{made}\n{text}" for made in creates if (text := created(user, made))]
    return number + len(plans) + len(creates), "\n".join([why, *found]).strip()


def _existing(user: Operator) -> set[str]:
    return {f"{resource.kind} {resource.id}" for resource in user.cloud.snapshot()}


def _check_run(user: Operator, made: Configuration, *words: str, writes: bool) -> int:
    ended = user.run(*words, **made)
    written = len(user.cloud.calls.writes()) - user.writes_before
    code: int = ended["exit_code"]
    if code not in (0, 2):
        raise Unfit(f"{words}: exit code {code}: {ended['problems']}")
    if written and (code or not writes):
        raise Unfit(f"{words}: exit code {code} after {written} writes")
    for problem in ended["problems"]:
        if not problem["hint"] or "with -v for details" in problem["hint"]:
            raise Unfit(f"{words}: no fix in {one_line(problem)}")
    return code
