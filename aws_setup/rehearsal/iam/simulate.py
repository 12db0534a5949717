"""SimulatePrincipalPolicy: what the deny list leaves, answered action by action.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.access import is_denied
from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.iam import principals
from aws_setup.rehearsal.rules import AwsError, Call

PAGE = 100
"""Results of a page unless MaxItems asks for fewer."""


def simulate(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer SimulatePrincipalPolicy: allowed, or implicitDeny for what the deny list names.

    The source must be a user or a role of the account: IAM does not simulate assumed-role
    sessions or the root user.
    """
    arn = call.params["PolicySourceArn"]
    if not arn.startswith(f"arn:aws:iam::{call.account}:"):
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity")
    if principals.unique_id(cloud, arn) is None:
        raise AwsError("NoSuchEntity", f"The entity {arn} cannot be found.", status=404)
    caller = call.access_key if arn == cloud.settings.principal else arn
    results = [
        _result(action, resource, is_denied(cloud.settings, action, caller))
        for action in call.params["ActionNames"]
        for resource in call.params.get("ResourceArns") or ["*"]
    ]
    start = int(call.params.get("Marker") or 0)
    end = start + int(call.params.get("MaxItems") or PAGE)
    more = end < len(results)
    answer = {"EvaluationResults": results[start:end], "IsTruncated": more}
    return answer | ({"Marker": str(end)} if more else {})


def _result(action: str, resource: str, denied: bool) -> dict[str, Any]:
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": "implicitDeny" if denied else "allowed",
        "MatchedStatements": [],
        "MissingContextValues": [],
    }


SIMULATE_ANSWERS = {("iam", "SimulatePrincipalPolicy"): simulate}
