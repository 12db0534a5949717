"""Checks that the nodes' types run the nodes' AMI: EKS refuses others once the cluster exists."""

from __future__ import annotations

from aws_setup.config.keys import keys_of
from aws_setup.eks.node_groups import AMI_TYPE, ARCHITECTURE
from aws_setup.preflight.planned import PlannedResources
from aws_setup.preflight.results import CheckResult, refuse


def check(planned: PlannedResources) -> CheckResult:
    """Refuse types of nodes of another architecture than that of their AMI and of λFS's images.

    A launch without an AMI is one of nodes, whose AMI is EKS's.
    """
    launches = (*planned.launches, *planned.later)
    nodes = {launch.instance_type for launch in launches if not launch.ami}
    known = planned.instance_types() if nodes else {}
    findings = []
    for name in sorted(nodes & known.keys()):
        runs = known[name]["ProcessorInfo"]["SupportedArchitectures"]
        if ARCHITECTURE in runs:
            continue
        keys = keys_of(planned.config, name, suffix="_instance_type")
        what = f"the cluster's nodes cannot be of type {name}"
        why = f"it runs {', '.join(runs)}; the nodes' AMI ({AMI_TYPE}) and λFS's images are "
        hint = f"set {keys} to a type with Intel or AMD processors, such as r5.4xlarge"
        findings.append(refuse(what, f"{why}{ARCHITECTURE}", hint))
    return CheckResult.of(findings)
