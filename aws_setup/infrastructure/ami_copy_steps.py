"""Puts the copies of AMIs before what is launched from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.config.amis import DEFAULT_AMIS
from aws_setup.infrastructure.ami_copies import AmiCopy
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.launch_templates import LaunchTemplate


def with_ami_copies(steps: Sequence[Step], config: Config) -> list[Step]:
    """Return the steps after a copy of each AMI that they use, with --copy-amis.

    An AMI that the user has set is not copied: the step of its key is skipped.
    """
    if not config.copy_amis:
        return list(steps)
    used = {_ami(step) for step in steps}
    copies = [
        AmiCopy(key, ami.id) for key, ami in DEFAULT_AMIS.items() if getattr(config, key) in used
    ]
    names = {getattr(config, copy.key): copy.name for copy in copies}
    return [*copies, *(_after(step, names.get(_ami(step), "")) for step in steps)]


def _after(step: Step, copy: str) -> Step:
    if copy and isinstance(step, VmGroupStep | LaunchTemplate):
        return replace(step, needs=(*step.needs, copy))
    return step


def _ami(step: Step) -> str:
    """Return the AMI of the machines that a step launches, '' for any other step."""
    if isinstance(step, VmGroupStep):
        return step.group.ami
    return step.kind.ami if isinstance(step, LaunchTemplate) else ""
