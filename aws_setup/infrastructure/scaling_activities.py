"""Why an auto-scaling group does not launch: the reason is in its scaling activities alone.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
"""

from __future__ import annotations

from aws_setup.aws.context import Context

FAILED_STATES = ("Failed", "Cancelled")
"""StatusCode of a scaling activity that launched nothing."""

FAILED_LOOKS = 3
"""Polls in a row that find nothing but a failed activity, after which the wait ends: AWS tries
again by itself after minutes, and the cause seldom passes in that time."""


def launch_failure(ctx: Context, name: str) -> str:
    """Return why the group's newest activity launched nothing; '' while one is under way."""
    answer = ctx.aws.autoscaling.describe_scaling_activities(AutoScalingGroupName=name)
    newest = next(iter(answer["Activities"]), None)
    if newest is None or newest["StatusCode"] not in FAILED_STATES:
        return ""
    return " ".join(str(newest.get("StatusMessage") or newest["Description"]).split())
