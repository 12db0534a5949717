"""The third script's part of the lock file: the jar of the NameNodes, and their limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aws_setup.namenodes.action import CurrentAction


def namenodes_part(prefix: str, actions: Collection[CurrentAction]) -> Mapping[str, Any]:
    """Return what the NameNode actions of a prefix are, as OpenWhisk reports them."""
    return {
        "prefix": prefix,
        "number": len(actions),
        "kind": _values(action.kind for action in actions),
        "main_class": _values(action.main for action in actions),
        "memory_mb": _values(action.memory for action in actions),
        "concurrency": _values(action.concurrency for action in actions),
        "jar_sha256": _values(action.sha256 for action in actions),
        "original_jar_sha256": _values(action.original_sha256 for action in actions),
    }


def _values(found: Any) -> Any:
    """Return the one value that all actions have, a list of several, None for none."""
    values = sorted({value for value in found if value not in (None, "")}, key=str)
    return values[0] if len(values) == 1 else values or None
