"""Who is calling: the principal of the settings.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import Call


def _identity(cloud: Cloud, call: Call) -> dict[str, Any]:
    arn = cloud.settings.principal
    return {"UserId": "AIDAREHEARSAL0000000A", "Account": call.account, "Arn": arn}


STS_ANSWERS = {("sts", "GetCallerIdentity"): _identity}
