"""The receipt: what a run found and created, a file for people and scripts.

A run reads in it only where its deployment is, what that has cost so far, and names to look for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import json_object
from aws_setup.engine.local_files import delete_file
from aws_setup.engine.private_files import write_private
from aws_setup.engine.safe_text import json_text
from aws_setup.engine.step import Found
from aws_setup.engine.temporary_files import HIDDEN, delete_abandoned


def entries(found: Mapping[str, Found]) -> dict[str, Any]:
    """Return every step's id, state and facts, by the step's name."""
    return {
        name: {"id": resource.id, "state": resource.status} | dict(resource.facts)
        for name, resource in sorted(found.items())
    }


def write_receipt(
    path: Path,
    head: Mapping[str, Any],
    found: Mapping[str, Found],
    *,
    known: Collection[str] | None = None,
    keep: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Write the receipt; without any step and any cost an existing receipt is removed.

    What an earlier deployment of the name has cost is dropped when there is a step again.

    Args:
        path: the receipt's file.
        head: the keys before the steps, such as the deployment's name and region.
        found: what the run found and created.
        known: the steps of this script; the existing receipt's other steps are kept, as another
            script wrote them. None: nothing of the existing receipt is kept.
        keep: whether an entry of those is kept.
    """
    others = {} if known is None else _other_steps(path, known)
    others = {name: entry for name, entry in others.items() if keep(entry)}
    steps = dict(sorted((others | entries(found)).items()))
    cost = read_costs(path)
    if steps and cost.get("ended"):
        cost = {}
    _write(path, head, steps, cost)


def write_costs(path: Path, head: Mapping[str, Any], cost: Mapping[str, Any]) -> None:
    """Write what the deployment has cost into the receipt; its steps are kept."""
    _write(path, head, _other_steps(path, ()), cost)


def read_costs(path: Path) -> Mapping[str, Any]:
    """Return what the receipt keeps of the deployment's cost; nothing if it is unreadable."""
    try:
        return dict(json_object(read_file(path)).get("cost") or {})
    except (OSError, ValueError, TypeError):
        return {}


def read_steps(path: Path) -> Mapping[str, Any]:
    """Return the entries of the receipt's steps; nothing if it is unreadable."""
    return _other_steps(path, ())


def _write(
    path: Path, head: Mapping[str, Any], steps: Mapping[str, Any], cost: Mapping[str, Any]
) -> None:
    delete_abandoned(path.parent, HIDDEN)
    if not steps and not cost:
        delete_file(path)
        return
    document = {**head, "steps": steps} | ({"cost": cost} if cost else {})
    write_private(path, json_text(document, indent=2, default=str) + "\n")


def _other_steps(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Return the existing receipt's steps that are not in `known`; none if it is unreadable."""
    try:
        steps = json_object(read_file(path))["steps"]
        return {name: entry for name, entry in steps.items() if name not in known}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # No run depends on the receipt: a damaged one is replaced.
        return {}
