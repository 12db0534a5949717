"""The steps of resume."""

from __future__ import annotations

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.pause.table import resumed_infrastructure
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.needs import restrict_needs
from aws_setup.tables.software import software_steps


def resume_steps(config: Config) -> list[Step]:
    """Return the steps of `resume`: those of create, which start what `pause` stopped."""
    steps = resumed_infrastructure(config, infrastructure_steps(config))
    return restrict_needs([*steps, *software_steps(config)])
