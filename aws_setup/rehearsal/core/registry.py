"""The list of the service modules; their order is the order of their rules."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aws_setup.rehearsal.core.types import After, Answer, Before, CloudApi, Key, Resource

SERVICE_MODULES = (
    "aws.required_permissions",
    "aws.ec2.validation",
    "aws.ec2.reference_checks",
    "aws.ec2.security_group_rules",
    "aws.ec2.images",
    "aws.ec2.image_copies",
    "aws.ec2.limits",
    "aws.ec2.nat_gateways",
    "aws.ec2.instances",
    "aws.ec2.states",
    "aws.ec2.tags",
    "aws.ec2.volumes",
    "aws.ec2.key_pairs",
    "aws.ec2.lookup",
    "aws.ec2.dry_run",
    "aws.iam",
    "aws.certificates",
    "aws.autoscaling.groups",
    "aws.autoscaling.capacity",
    "aws.autoscaling.metrics",
    "aws.autoscaling.policies",
    "aws.autoscaling.processes",
    "aws.autoscaling.store",
    "aws.elb",
    "aws.balancer_health",
    "aws.elbv2",
    "aws.logs",
    "aws.scheduler",
    "aws.service_quotas",
    "aws.pricing",
    "aws.parameters",
    "aws.eks.clusters",
    "aws.eks.updates",
    "aws.eks.catalog",
    "aws.eks.nodegroups",
    "aws.eks.nodegroup_updates",
    "aws.eks.replaced_nodes",
    "aws.eks.addons",
    "aws.eks.fargate",
    "aws.eks.access_entries",
    "aws.eks.pod_identity",
    "aws.eks.store",
    "kubernetes.eks_bridge",
)
"""Modules below aws_setup.rehearsal."""


@dataclass
class RuleTables:
    """The combined tables of all service modules."""

    answers: dict[Key, Answer] = field(default_factory=dict)
    before: dict[Key, list[Before]] = field(default_factory=dict)
    after: dict[Key, list[After]] = field(default_factory=dict)
    list_resources: list[Callable[[CloudApi], Iterable[Resource]]] = field(default_factory=list)
    start: list[Callable[[CloudApi], None]] = field(default_factory=list)
    check_call: list[Before] = field(default_factory=list)
    admin_routes: dict[tuple[str, str], Any] = field(default_factory=dict)

    def add(self, module: Any) -> None:
        """Add the tables of one module; raises ValueError when two modules answer the same call."""
        for key, answer in getattr(module, "ANSWERS", {}).items():
            if key in self.answers:
                raise ValueError(f"{module.__name__} answers {key}, which another module answers")
            self.answers[key] = answer
        for key, before in getattr(module, "BEFORE", {}).items():
            self.before.setdefault(key, []).append(before)
        for key, after in getattr(module, "AFTER", {}).items():
            self.after.setdefault(key, []).append(after)
        self.admin_routes.update(getattr(module, "ADMIN_ROUTES", {}))
        for name, all_of_them in (
            ("list_resources", self.list_resources),
            ("start", self.start),
            ("check_call", self.check_call),
        ):
            if hasattr(module, name):
                all_of_them.append(getattr(module, name))


def collect_rules() -> RuleTables:
    """Import every module and return all tables."""
    tables = RuleTables()
    for name in SERVICE_MODULES:
        tables.add(importlib.import_module(f"aws_setup.rehearsal.{name}"))
    return tables
