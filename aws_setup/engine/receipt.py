"""The receipt: what a run found and made, as a file for people and scripts; never needed by us."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aws_setup.engine.step import Found


def entries(found: Mapping[str, Found]) -> dict[str, Any]:
    """Return every step's id, state and facts, by the step's name."""
    return {
        name: {"id": resource.id, "state": resource.status} | dict(resource.facts)
        for name, resource in sorted(found.items())
    }


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_receipt(
    path: Path,
    head: Mapping[str, Any],
    found: Mapping[str, Found],
    *,
    known: Collection[str] | None = None,
) -> None:
    """Write the receipt; with nothing to say an old receipt is removed.

    Args:
        path: the receipt's file.
        head: what stands before the steps, such as the deployment's name and region.
        found: what the run found and created.
        known: the steps that this script speaks for; an old receipt's others stay in the new one,
            as another script wrote them. None: nothing of the old one stays.
    """
    others = {} if known is None else _others(path, known)
    if not found and not others:
        path.unlink(missing_ok=True)
        return
    document = {**head, "steps": dict(sorted((others | entries(found)).items()))}
    write_private(path, json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def _others(path: Path, known: Collection[str]) -> dict[str, Any]:
    """Return an old receipt's entries of steps that are not among `known`; none if unreadable."""
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        return {name: entry for name, entry in steps.items() if name not in known}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # The receipt is never needed: a damaged one is written anew.
        return {}
