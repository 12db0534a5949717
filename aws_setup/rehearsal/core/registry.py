"""The explicit list of the modules that hold rules; their order is the order of rules."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_setup.rehearsal.core.types import After, Answer, Before, Key, Resource

if TYPE_CHECKING:
    from aws_setup.rehearsal.core.dispatch import Cloud

SERVICE_MODULES = (
    "aws.ec2.validation",
    "aws.ec2.reference_checks",
    "aws.ec2.images",
    "aws.ec2.limits",
    "aws.ec2.nat_gateways",
    "aws.ec2.instances",
    "aws.ec2.states",
    "aws.ec2.key_pairs",
    "aws.ec2.lookup",
    "aws.ec2.dry_run",
    "aws.iam",
    "aws.certificates",
    "aws.autoscaling.groups",
    "aws.autoscaling.capacity",
    "aws.autoscaling.store",
    "aws.elb",
    "aws.service_quotas",
    "aws.pricing",
    "aws.eks.clusters",
    "aws.eks.updates",
    "aws.eks.catalog",
    "aws.eks.nodegroups",
    "aws.eks.nodegroup_updates",
    "aws.eks.addons",
    "aws.eks.access_entries",
    "aws.eks.pod_identity",
    "aws.eks.store",
    "kubernetes.eks_bridge",
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
    admin_routes: dict[tuple[str, str], Any] = field(default_factory=dict)

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
        self.admin_routes.update(getattr(area, "ADMIN_ROUTES", {}))
        for name, all_of_them in (("exists", self.exists), ("start", self.start)):
            if hasattr(area, name):
                all_of_them.append(getattr(area, name))


def collect_rules() -> RuleTables:
    """Import every area and return all tables."""
    tables = RuleTables()
    for name in SERVICE_MODULES:
        tables.add(importlib.import_module(f"aws_setup.rehearsal.{name}"))
    return tables
