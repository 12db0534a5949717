"""CloudWatch Logs: which log groups exist; what is written into them is not emulated.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

PAGE = 50
"""Most log groups of an answer."""


class LogGroups(dict[tuple[str, str], dict[str, Any]]):
    """The log groups by region and name, as DescribeLogGroups returns them."""


def make_log_group(cloud: CloudApi, region: str, name: str) -> None:
    """Make a log group, as a service of AWS's does for its user; one that exists stays."""
    arn = f"arn:{cloud.settings.partition}:logs:{region}:{ACCOUNT}:log-group:{name}"
    made = {
        "logGroupName": name,
        "creationTime": int(cloud.clock.today().timestamp() * 1000),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
    }
    cloud.store_of(LogGroups).setdefault((region, name), made)


def _describe(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DescribeLogGroups, in the order of the names."""
    params = call.params
    prefix, pattern = params.get("logGroupNamePrefix"), params.get("logGroupNamePattern")
    if prefix and pattern:
        message = (
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
        raise AwsError("InvalidParameterException", message)
    known = sorted(cloud.store_of(LogGroups).items())
    found = [
        group
        for (region, name), group in known
        if region == call.region
        and name.startswith(prefix or "")
        and (pattern or "").lower() in name.lower()
    ]
    start = int(params.get("nextToken") or 0)
    end = start + min(int(params.get("limit") or PAGE), PAGE)
    more = {"nextToken": str(end)} if end < len(found) else {}
    return {"logGroups": found[start:end], **more}


def _delete(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteLogGroup."""
    key = call.region, call.params["logGroupName"]
    if key not in cloud.store_of(LogGroups):
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    del cloud.store_of(LogGroups)[key]
    return {}


def list_resources(cloud: CloudApi) -> Iterable[Resource]:
    """List the log groups, which are billed by what is stored in them."""
    for region, name in cloud.store_of(LogGroups):
        yield Resource("logs", "log group", name, region, bills=True)


ANSWERS = {
    ("logs", "DescribeLogGroups"): _describe,
    ("logs", "DeleteLogGroup"): _delete,
}
