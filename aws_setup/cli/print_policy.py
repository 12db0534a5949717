"""--print-iam-policy: the policy for who runs the scripts, with the account's id."""

from __future__ import annotations

import json

from aws_setup.cli.aws_commands import open_aws
from aws_setup.config import Config
from aws_setup.engine.result import Result
from aws_setup.preflight.policy_document import policy
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
    for line in json.dumps(found, indent=2).splitlines():
        report.result(line)
