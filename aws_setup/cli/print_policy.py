"""--print-iam-policy: the policy for who runs the scripts, with the account's id."""

from __future__ import annotations

import json
from typing import Any

from aws_setup.cli.aws_commands import open_aws
from aws_setup.config import Config
from aws_setup.engine.result import Result
from aws_setup.errors import Problem
from aws_setup.preflight.policy_document import LONGEST, policy
from aws_setup.report import Report


def print_policy(config: Config, result: Result, report: Report) -> None:
    """Print the policy of a configuration for the account of the credentials.

    Raises:
        Refused: there is no region, or the credentials are of another account.
    """
    aws = open_aws(config)
    try:
        partition = aws.identity.arn.split(":")[1]
        found = policy(config, partition=partition, account=aws.identity.account, region=aws.region)
    finally:
        aws.close()
    result.more["iam_policy"] = found
    if (length := _length(found)) > LONGEST:
        warning = _too_long(found, length)
        result.warnings.append(warning)
        report.problems([warning], warning=True)
    for line in json.dumps(found, indent=2).splitlines():
        report.result(line)


def _length(document: dict[str, Any]) -> int:
    """Return the characters of a policy, of which IAM counts no white space."""
    return len(json.dumps(document, separators=(",", ":")))


def _too_long(document: dict[str, Any], length: int) -> Problem:
    """Return the warning of a policy that must be made two: each statement stands for itself."""
    statements = document["Statement"]
    halves = (
        at
        for at in range(1, len(statements))
        if _length({"Statement": statements[:at]}) > length // 2
    )
    at = next(halves, len(statements) // 2)
    first, second = (f"`jq '.Statement |= .[{part}]' policy.json`" for part in (f":{at}", f"{at}:"))
    return Problem(
        "the policy is too long for one managed policy",
        f"its length is {length:,}, and IAM allows {LONGEST:,}",
        f"make two policies of it, {first} and {second}, and attach both",
    )
