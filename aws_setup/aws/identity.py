"""Who calls AWS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The caller, as AWS identifies it."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """The second part of the ARN: aws, aws-cn, aws-us-gov."""
        return self.arn.split(":")[1]
