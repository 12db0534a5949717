"""The published policy: equal to the code, and sufficient for every call of complete runs."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from click.testing import CliRunner

from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.cli.app import script_command
from aws_setup.config import Config
from aws_setup.preflight.iam_policy import (
    CHANGES,
    CONFIGURE_ACTIONS,
    CREATE_ACTIONS,
    DEADLINE_ROLE_ACTIONS,
    IMPLIED,
    OPTIONAL_ACTIONS,
    READ_ACTIONS,
    actions_for,
)
from aws_setup.preflight.permissions import findings_of
from aws_setup.preflight.policy_document import LONGEST, deadline_policy, policy
from aws_setup.preflight.results import Severity
from aws_setup.preflight.simulator import Verdict
from aws_setup.rehearsal.core.dispatch import CallLogEntry
from aws_setup.rehearsal.core.permissions import IAM_PREFIX, iam_action
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.core.types import Call
from aws_setup.tables.infrastructure import infrastructure_steps
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.preflight import Operator

SERVICES = (
    "acm",
    "autoscaling",
    "ec2",
    "eks",
    "elb",
    "elbv2",
    "iam",
    "logs",
    "pricing",
    "scheduler",
    "service-quotas",
    "sts",
)
"""The services that the product calls."""


CONFIG = Config(ssh_keypair_name="k", ssh_key_path="k")
SHARED_NAMES = ("ListTagsForResource", "TagResource", "UntagResource")
"""Operations of several services: they count for the client in front of them only."""


CALLED_TOO = {
    "ec2:RunInstances",
    "autoscaling:CreateOrUpdateTags",
    "eks:TagResource",
    "iam:TagOpenIDConnectProvider",
    "iam:TagRole",
}
"""Permissions that AWS checks in addition to others, and that calls have, too."""


def allowed(action: str) -> bool:
    patterns = [p for one in policy(CONFIG)["Statement"] for p in _listed(one["Action"])]
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)


def _listed(actions: str | list[str]) -> list[str]:
    return [actions] if isinstance(actions, str) else actions


def action_of(call: CallLogEntry) -> str:
    return iam_action(Call(call.service, call.action, {}, call.region, ""))


def test_the_deadline_needs_one_action_more_than_the_published_policy() -> None:
    (statement,) = deadline_policy(CONFIG)["Statement"]
    assert (statement["Action"], statement["Resource"]) == (
        ["iam:PutRolePolicy"],
        "arn:aws:iam::ACCOUNT:role/lambda-fs-deadline",
    )
    assert not allowed("iam:PutRolePolicy")


@pytest.mark.kind("C2")
def test_complete_runs_under_exactly_the_policy(operator: Operator) -> None:
    before = len(operator.cloud.calls)
    operator.cloud.settings.policies = [policy(CONFIG, account=ACCOUNT, region="us-east-1")]
    for verb in ("create", "status", "destroy"):
        ended = operator.run(verb, "--yes")
        assert ended["exit_code"] == 0, ended
        assert [one for one in ended["warnings"] if "permission" in one["what"]] == []
    calls = operator.cloud.calls[before:]
    called = {action_of(call) for call in calls if call.client != "rehearsal"}
    assert {"ec2:RunInstances", "eks:CreateCluster", "ec2:DeleteVpc"} <= called
    # IAM cannot limit a policy's text: without a boundary an administrator writes it once.
    # So it is not called, and the run warns.
    assert [action for action in called if not allowed(action)] == []
    assert "iam:PutRolePolicy" in DEADLINE_ROLE_ACTIONS


@pytest.mark.kind("A3")
def test_everything_that_is_made_has_the_tags_and_every_role_the_boundary(
    operator: Operator,
) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    keys: dict[str, Any] = {"tags": {"CostCenter": "4711"}, "permissions_boundary": boundary}
    config = Config(ssh_keypair_name="researcher", ssh_key_path="k.pem", **keys)
    operator.cloud.settings.policies = [policy(config, account=ACCOUNT, region="us-east-1")]
    ended = operator.run("create", "--yes", **keys)
    assert ended["exit_code"] == 0, ended
    operator.cloud.settings.policies = []
    listed = client("ec2").describe_tags()["Tags"]
    ours = {tag["ResourceId"] for tag in listed if tag["Key"] == DEPLOYMENT_TAG}
    tagged = {tag["ResourceId"] for tag in listed if tag["Key"] == "CostCenter"}
    assert len(ours) > 20
    assert ours <= tagged
    volumes = client("ec2").describe_volumes()["Volumes"]
    assert all({"Key": "CostCenter", "Value": "4711"} in it["Tags"] for it in volumes)
    cluster = client("eks").describe_cluster(name=config.eks_cluster_name)["cluster"]
    assert cluster["tags"]["CostCenter"] == "4711"
    (role,) = [
        client("iam").get_role(RoleName=it["RoleName"])["Role"]
        for it in client("iam").list_roles(PathPrefix="/")["Roles"]
        if it["RoleName"] == config.eks_iam_role_name
    ]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert {"Key": "CostCenter", "Value": "4711"} in role["Tags"]
    for group in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]:
        tags = {tag["Key"]: tag["PropagateAtLaunch"] for tag in group["Tags"]}
        assert tags["CostCenter"] is True
    again = operator.run("plan", **keys)
    assert {step["action"] for step in again["steps"]} == {"exists"}
    assert again["deadline"]["state"] == "set", "with a boundary the policy may be written"
    moved = operator.run("plan", **(keys | {"permissions_boundary": boundary + "2"}))
    conflicts = [it["name"] for it in moved["steps"] if it["action"] == "conflict"]
    assert conflicts == ["eks cluster role", "deadline role"]


def test_the_policy_is_what_the_code_can_call() -> None:
    """No action is missing, and none is granted that the product never calls."""
    package = Path(__file__).resolve().parents[2] / "aws_setup"
    modules = [path for path in package.rglob("*.py") if "rehearsal" not in path.parts]
    code = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    words = {word for pair in re.findall(r'\.(\w+)\(|"(\w+)"', code) for word in pair}
    clients = set(re.findall(r"\.(\w+)\.(\w+)\(", code))
    session = botocore.session.get_session()
    callable_ = {
        f"{IAM_PREFIX.get(service, service)}:{name}"
        for service in SERVICES
        for name in session.get_service_model(service).operation_names
        if xform_name(name) in words
        and (name not in SHARED_NAMES or (service, xform_name(name)) in clients)
    }
    assert [action for action in callable_ if not allowed(action)] == ["iam:PutRolePolicy"]
    asked = [one for one in (*READ_ACTIONS, *CHANGES) if not fnmatch.filter(callable_, one)]
    assert sorted(asked) == sorted(IMPLIED.keys() - CALLED_TOO)


def test_what_preflight_simulates_is_in_the_policy() -> None:
    tables = (*CREATE_ACTIONS.values(), *CONFIGURE_ACTIONS.values())
    simulated = {action for actions in tables for action in actions}
    assert sorted(action for action in simulated if not allowed(action)) == []


def test_every_step_of_the_default_table_has_its_actions() -> None:
    # Routes and associations come with the route tables.
    mute = {"route", "routing"}
    for step in infrastructure_steps(CONFIG):
        if step.name.split()[-1] not in mute and "sweep" not in step.name:
            assert actions_for([step.name]) or OPTIONAL_ACTIONS[step.name], step.name


def verdict(*missing: str, denied: bool = True, by_organisation: bool = False) -> Verdict:
    return Verdict("ec2:RunInstances", denied, frozenset(missing), by_organisation)


@pytest.mark.parametrize(
    ("verdict", "severities"),
    [
        (verdict(denied=False), []),
        (verdict(), [Severity.REFUSE]),
        (verdict("aws:SourceIp"), [Severity.WARN]),
        (verdict(by_organisation=True), [Severity.WARN]),
    ],
)
def test_a_denial_that_depends_on_a_condition_is_a_warning(
    verdict: Verdict, severities: list[Severity]
) -> None:
    assert [finding.severity for finding in findings_of("arn", [verdict])] == severities


def test_roles_and_clusters_are_simulated_by_their_own_names(operator: Operator) -> None:
    operator.warned(eks_iam_role_name="mine", eks_cluster_name="yours")
    asked = [c.params for c in operator.cloud.calls.named("SimulatePrincipalPolicy")]
    resources = {one["ResourceArns"][0]: set(one["ActionNames"]) for one in asked}
    assert resources["arn:aws:iam::123456789012:role/mine"] == actions("iam")
    assert resources["arn:aws:eks:us-east-1:123456789012:cluster/yours"] == actions("eks")


def actions(service: str) -> set[str]:
    return {a for listed in CREATE_ACTIONS.values() for a in listed if a.startswith(f"{service}:")}


@pytest.mark.kind("C2")
def test_the_printed_policy_is_of_the_configuration_and_of_the_account(operator: Operator) -> None:
    before = len(operator.cloud.calls)
    printed = operator.run("--print-iam-policy", deployment_name="mine")["iam_policy"]
    config = CONFIG.model_copy(update={"deployment_name": "mine"})
    assert printed == policy(config, account=ACCOUNT, region="us-east-1")
    assert {call.action for call in operator.cloud.calls[before:]} == {"GetCallerIdentity"}


@pytest.mark.kind("C2")
def test_a_policy_too_long_for_iam_comes_with_the_commands_that_make_two_of_it(
    operator: Operator,
) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/{'b' * 100}"
    names = {"deployment_name": "x" * 32, "eks_cluster_name": "x" * 100}
    printed = operator.run("--print-iam-policy", **names, permissions_boundary=boundary)
    (warning,) = printed["warnings"]
    config = str(operator.folder / "config_aws.yaml")
    command = script_command(SCRIPT, folder=operator.folder)
    shown = CliRunner().invoke(command, ["--print-iam-policy", "-y", config])
    assert json.loads(shown.stdout) == printed["iam_policy"], "what `> policy.json` gets"
    assert "Fix: make two policies of it" in shown.stderr
    document = printed["iam_policy"]
    assert warning["why"].endswith(f"and IAM allows {LONGEST:,}")
    first, second = re.findall(
        r"jq '\.Statement \|= \.\[(\d*):(\d*)\]' policy\.json", warning["hint"]
    )
    assert first == ("", second[0])
    at, statements = int(second[0]), document["Statement"]
    for half in (statements[:at], statements[at:]):
        assert len(json.dumps({**document, "Statement": half}, separators=(",", ":"))) <= LONGEST
    assert operator.run("--print-iam-policy", deployment_name="mine")["warnings"] == []
