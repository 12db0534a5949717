"""IAM's policy simulator: what it is told of the calls of a run, and what its answers mean.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.session import Aws
from aws_setup.aws.tags import cluster_tag, tags
from aws_setup.infrastructure.iam_policies import CLUSTER_POLICY
from aws_setup.infrastructure.metadata_options import metadata_options
from aws_setup.preflight.policy_document import PASSED_TO

ROLE_SESSION = re.compile(r"^arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/([^/]+)/")

GLOBAL_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Partition -> the region that a call of IAM, which has no regions, has for aws:RequestedRegion.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/general/latest/gr/iam-service.html
"""

WITHOUT_SCPS: Any = [{"PolicyType": "scp"}]
"""The policies to leave out, as the simulator takes them: those of the organisation."""


@dataclass(frozen=True)
class Verdict:
    """What the simulator says about one action of the caller.

    `missing` are the keys of conditions of whose values it was not told. With `by_organisation` a
    service control policy denies; which keys that depends on the simulator does not say.
    """

    action: str
    denied: bool
    missing: frozenset[str] = frozenset()
    by_organisation: bool = False

    @property
    def certain(self) -> bool:
        """Whether AWS will deny the action, whatever else the call has."""
        return self.denied and not self.missing and not self.by_organisation


def simulate(
    ctx: Context, actions_of: Mapping[str, Sequence[str]], **context: str
) -> list[Verdict]:
    """Return what the simulator says; `actions_of` is resource -> actions.

    A policy may allow single roles and clusters only: on `*` the simulator would deny those. And it
    may have conditions: the simulator is told what the calls will have. `context` are values of
    condition keys that differ from those of most calls.

    Raises:
        ClientError: the caller may not use the simulator, or it does not know the caller.
    """
    source = policy_source(ctx.aws, ctx.aws.identity.arn)
    verdicts: list[Verdict] = []
    for resource, names in actions_of.items():
        for region, of_region in _by_region(ctx, names):
            entries = context_entries(ctx, source=source, region=region, **context)
            ask = partial(_ask, ctx, resource, source=source, entries=entries)
            found = [_verdict(result) for result in ask(of_region)]
            refused = [it.action for it in found if it.by_organisation]
            verdicts += found + (_without_organisation(ask, refused) if refused else [])
    return verdicts


def _without_organisation(ask: Any, actions: Sequence[str]) -> list[Verdict]:
    """Return which actions the account's own policies deny, too.

    With a denial by the organisation the simulation ends (API_EvaluationResult).
    """
    results = advice(lambda: ask(actions, PolicyExclusionList=WITHOUT_SCPS), lambda _: [])
    return [it for it in map(_verdict, results) if it.denied and not it.by_organisation]


def _ask(
    ctx: Context, resource: str, names: Sequence[str], *, source: str, entries: Any, **more: Any
) -> list[Any]:
    """Return all pages of the simulator's results for some actions on one resource."""
    results: list[Any] = []
    marker: dict[str, Any] = {}
    while names:
        page: Any = ctx.aws.brief("iam").simulate_principal_policy(
            PolicySourceArn=source,
            ActionNames=list(names),
            ResourceArns=[resource],
            ContextEntries=entries,
            **marker,
            **more,
        )
        results += page["EvaluationResults"]
        if not page.get("IsTruncated"):
            break
        marker = {"Marker": page["Marker"]}
    return results


def _verdict(result: Mapping[str, Any]) -> Verdict:
    """Return a result as a verdict; for a named resource the missing keys are in its own part."""
    parts = (result, *(result.get("ResourceSpecificResults") or ()))
    missing = frozenset(key for part in parts for key in part.get("MissingContextValues") or ())
    organisation = result.get("OrganizationsDecisionDetail") or {}
    denied = result["EvalDecision"] != "allowed"
    of_organisation = denied and organisation.get("AllowedByOrganizations") is False
    return Verdict(str(result["EvalActionName"]), denied, missing, of_organisation)


def _by_region(ctx: Context, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the actions by the region in which their calls are made."""
    of_iam = [name for name in names if name.startswith("iam:")]
    regional = [name for name in names if name not in of_iam]
    if regional:
        yield ctx.aws.region, regional
    if of_iam:
        yield GLOBAL_REGIONS.get(ctx.aws.partition, ctx.aws.region), of_iam


def context_entries(
    ctx: Context, *, source: str, region: str, **context: str
) -> list[dict[str, Any]]:
    """Return what the calls of a run have for the keys of usual conditions.

    IAM's simulator knows none of them by itself, and where a key is missing a negated operator
    holds: a policy that denies every region but some would deny everything. Not known before a
    call: the address and the MFA that AWS sees, and what differs between calls of one action.

    Args:
        ctx: the run's context.
        source: the user or the role whose policies are simulated.
        region: the region in which the calls are made.
        context: other values.
    """
    config, account = ctx.config, ctx.aws.identity.account
    sent = tags(config, "vpc", name=config.vpc_name)
    values = {
        **{f"aws:RequestTag/{key}": value for key, value in sent.items()},
        **{f"aws:ResourceTag/{key}": value for key, value in sent.items()},
        f"aws:ResourceTag/{cluster_tag(config)}": "owned",
        "aws:RequestedRegion": region,
        "aws:PrincipalArn": source,
        "aws:PrincipalAccount": account,
        "ec2:Region": region,
        "ec2:CreateAction": "CreateVpc",
        "ec2:MetadataHttpTokens": str(metadata_options()["HttpTokens"]),
        "ec2:MetadataHttpEndpoint": str(metadata_options()["HttpEndpoint"]),
        "iam:PolicyARN": f"arn:{ctx.aws.partition}:iam::aws:policy/{CLUSTER_POLICY}",
        "iam:PassedToService": PASSED_TO[0],
    }
    if config.permissions_boundary:
        values["iam:PermissionsBoundary"] = config.permissions_boundary
    values |= context
    return [
        *(_entry(key, "string", value) for key, value in values.items()),
        _entry("aws:TagKeys", "stringList", *sent),
        _entry("aws:SecureTransport", "boolean", "true"),
        _entry("ec2:Encrypted", "boolean", "true"),
    ]


def _entry(key: str, kind: str, *values: str) -> dict[str, Any]:
    return {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": list(values)}


def policy_source(aws: Aws, arn: str) -> str:
    """Return the ARN to simulate for a caller: the role of a role session, else its own ARN.

    A session's ARN does not contain the role's path, so the ARN is read from the role.
    """
    session = ROLE_SESSION.match(arn)
    if session is None:
        return arn
    try:
        return str(aws.iam.get_role(RoleName=session[3])["Role"]["Arn"])
    except ClientError:
        return f"arn:{session['partition']}:iam::{session['account']}:role/{session[3]}"
