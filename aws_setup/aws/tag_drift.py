"""Tags that are missing or were changed by hand: named by the plan, and written again.

Destroy, the published policy and λFS's scripts go by these tags. Tags of others are never changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_setup.aws.inventory import Item
from aws_setup.aws.tags import DEPLOYMENT_TAG, STEP_TAG
from aws_setup.engine.step import Drift, Found

if TYPE_CHECKING:
    from aws_setup.aws.context import Context

TAGS = "tags"
"""Key of the drift of tags."""

MARKS = "lambda-fs:"
"""How the keys of this project's tags begin, those of pauses and deadlines included."""

RESERVED = ("aws:", "kubernetes.io/", "k8s.io/", "eks:", "cluster.k8s.amazonaws.com/")
"""How the keys of tags begin that AWS and Kubernetes set."""

Write = Callable[[Sequence[str], Mapping[str, str]], object]
"""Adds tags to resources, by their ids."""


@dataclass(frozen=True)
class TaggedItem:
    """A resource with the tags that it has and should have, and how they are written."""

    id: str
    has: Mapping[str, str]
    wants: Mapping[str, str]
    write: Write

    @property
    def missing(self) -> dict[str, str]:
        """The tags that it should have and has not."""
        return {key: value for key, value in self.wants.items() if self.has.get(key) != value}

    @property
    def present(self) -> dict[str, str]:
        """What it has instead of those; '' for nothing."""
        return {key: self.has.get(key, "") for key in self.missing}

    @property
    def replaced(self) -> dict[str, str]:
        """The values that others have given to those tags."""
        return {key: self.has[key] for key in self.missing if key in self.has}

    @property
    def others(self) -> list[str]:
        """The keys of the tags that others have added."""
        skipped = (MARKS, *RESERVED)
        return sorted(key for key in self.has.keys() - self.wants if not key.startswith(skipped))


class Tagged(ABC):
    """A step whose resources carry tags."""

    @abstractmethod
    def tagged(self, ctx: Context, found: Found) -> Sequence[TaggedItem]:
        """Return the resources of the step with their tags, without a call."""


def is_own(tags: Mapping[str, str], *, deployment: str, step: str) -> bool:
    """Whether tags say that a step of a deployment made a resource; one of the two may be lost."""
    owner, made_by = tags.get(DEPLOYMENT_TAG), tags.get(STEP_TAG)
    ours = owner == deployment
    return (ours and made_by in (None, step)) or (owner is None and made_by == step)


def tags_of(item: Item) -> dict[str, str]:
    """Return the tags of a resource as AWS lists it: a list of pairs, or a mapping."""
    listed: Any = item.get("Tags") or item.get("tags") or {}
    if isinstance(listed, Mapping):
        return {str(key): str(value) for key, value in listed.items()}
    return {str(pair["Key"]): str(pair["Value"]) for pair in listed}


def tag_drift(items: Sequence[TaggedItem]) -> list[Drift]:
    """Return the drift of the tags of a step's resources, with what others have added to them."""
    different = [item for item in items if item.missing]
    if not different:
        return []
    has = [f"{item.id}: {_text(item.present)}" for item in different]
    wants = list(dict.fromkeys(_text(item.missing) for item in different))
    others = sorted({key for item in different for key in item.others})
    kept = f" (kept: {', '.join(others)})" if others else ""
    replaced = {item.id: item.replaced for item in different if item.replaced}
    text = "; ".join(wants) + kept
    return [Drift("tags", "; ".join(has), text, key=TAGS, replaces=replaced or None)]


def _text(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value or 'none'}" for key, value in sorted(tags.items()))


def write_missing(items: Sequence[TaggedItem], *, note: Callable[[str], None]) -> None:
    """Write the tags that are missing, in one call for equal ones; say which tags stay."""
    sets: dict[tuple[Write, tuple[tuple[str, str], ...]], list[str]] = {}
    for item in items:
        if item.missing:
            key = item.write, tuple(sorted(item.missing.items()))
            sets.setdefault(key, []).append(item.id)
            if item.others:
                note(f"kept on {item.id}: {', '.join(item.others)}")
    for (write, missing), ids in sets.items():
        write(ids, dict(missing))
