"""The explicit list of the modules that hold rules; their order is the order of rules."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_setup.rehearsal.rules import After, Answer, Before, Key, Resource

if TYPE_CHECKING:
    from aws_setup.rehearsal.cloud import Cloud

SERVICE_MODULES = (
    "ec2.strict",
    "ec2.references",
    "ec2.images",
    "ec2.quotas",
    "ec2.offerings",
    "ec2.nat",
    "ec2.dependencies",
    "ec2.instances",
    "ec2.states",
    "ec2.keys",
    "ec2.console",
    "ec2.things",
    "ec2.dryrun",
    "iam.roles",
    "iam.certificates",
    "iam.simulate",
    "iam.providers",
    "acm",
    "autoscaling.groups",
    "autoscaling.capacity",
    "autoscaling.tags",
    "elb",
    "quotas",
    "pricing",
    "sts",
    "eks.clusters",
    "eks.changes",
    "eks.updates",
    "eks.versions",
    "eks.nodegroups",
    "eks.scaling",
    "eks.addons",
    "eks.catalogue",
    "eks.access",
    "eks.identity",
    "eks.tags",
    "eks.things",
)
"""Modules below aws_setup.rehearsal."""


@dataclass
class RuleTables:
    """All areas' tables, put together."""

    answers: dict[Key, Answer] = field(default_factory=dict)
    before: dict[Key, list[Before]] = field(default_factory=dict)
    after: dict[Key, list[After]] = field(default_factory=dict)
    exists: list[Callable[[Cloud], Iterable[Resource]]] = field(default_factory=list)
    start: list[Callable[[Cloud], None]] = field(default_factory=list)

    def add(self, area: Any) -> None:
        """Take in the tables of one module; two areas answering the same call is a mistake."""
        for key, answer in getattr(area, "ANSWERS", {}).items():
            if key in self.answers:
                raise ValueError(f"{area.__name__} answers {key}, which another area answers")
            self.answers[key] = answer
        for key, before in getattr(area, "BEFORE", {}).items():
            self.before.setdefault(key, []).append(before)
        for key, after in getattr(area, "AFTER", {}).items():
            self.after.setdefault(key, []).append(after)
        for name, all_of_them in (("exists", self.exists), ("start", self.start)):
            if hasattr(area, name):
                all_of_them.append(getattr(area, name))


def collect_rules() -> RuleTables:
    """Import every area and return all tables."""
    tables = RuleTables()
    for name in SERVICE_MODULES:
        tables.add(importlib.import_module(f"aws_setup.rehearsal.{name}"))
    return tables
