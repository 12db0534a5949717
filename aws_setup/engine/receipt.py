"""The receipt: what a run found and created, a file for people and scripts; no run reads it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aws_setup.engine.decoding import json_object
from aws_setup.engine.private_files import write_private
from aws_setup.engine.safe_text import json_text
from aws_setup.engine.step import Found


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
) -> None:
    """Write the receipt; without any step an existing receipt is removed.

    Args:
        path: the receipt's file.
        head: the keys before the steps, such as the deployment's name and region.
        found: what the run found and created.
        known: the steps of this script; the existing receipt's other steps are kept, as another
            script wrote them. None: nothing of the existing receipt is kept.
    """
    others = {} if known is None else _other_steps(path, known)
    if not found and not others:
        path.unlink(missing_ok=True)
        return
    document = {**head, "steps": dict(sorted((others | entries(found)).items()))}
    write_private(path, json_text(document, indent=2, default=str) + "\n")


def _other_steps(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Return the existing receipt's steps that are not in `known`; none if it is unreadable."""
    try:
        steps = json_object(path.read_bytes())["steps"]
        return {name: entry for name, entry in steps.items() if name not in known}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # No run depends on the receipt: a damaged one is replaced.
        return {}
