"""Errors of AWS and botocore become messages with cause and fix."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from botocore import exceptions as e
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_setup.aws.errors import MESSAGES_BY_CODE, to_setup_error
from aws_setup.aws.session import Aws
from aws_setup.errors import Problem, SetupError


def problem_of(error: Exception) -> Problem:
    answer = to_setup_error(error)
    assert isinstance(answer, SetupError)
    return answer.problems[0]


def of_code(code: str, message: str = "AWS's message", operation: str = "RunInstances") -> Problem:
    return problem_of(ClientError({"Error": {"Code": code, "Message": message}}, operation))


@pytest.mark.parametrize(
    ("code", "why", "hint"),
    [
        ("ExpiredToken", "session has expired", "log in again"),
        ("RequestExpired", "session has expired", "log in again"),
        ("InvalidClientTokenId", "does not know these credentials", "get-caller-identity"),
        ("AuthFailure", "AWS's message", "clock"),
        ("UnauthorizedOperation", "may not call RunInstances", "docs/permissions.md"),
        ("OptInRequired", "AWS's message", "sign-up"),
        ("VcpuLimitExceeded", "quota", "Service Quotas"),
        ("AddressLimitExceeded", "quota", "Service Quotas"),
        ("InsufficientInstanceCapacity", "no capacity", "availability_zones"),
        ("Unsupported", "not offered in the zone", "instance type"),
        ("InvalidKeyPair.NotFound", "not registered in this region", "ssh_keypair_name"),
        ("InvalidAMIID.NotFound", "does not exist in this region", "*_ami"),
        ("RequestLimitExceeded", "still throttling this account after 1 attempt", "resumes"),
        ("DependencyViolation", "still uses it", "wait a minute"),
        ("InvalidVpcID.NotFound", "does not exist (any more)", "resumes from here"),
        ("NoSuchThing", "AWS's message", "docs/troubleshooting.md"),
    ],
)
def test_a_code_has_a_cause_and_a_fix(code: str, why: str, hint: str) -> None:
    problem = of_code(code)
    assert problem.what == f"RunInstances failed ({code})"
    assert why in problem.why
    assert hint in problem.hint


def test_every_known_code_has_both_lines() -> None:
    for code in MESSAGES_BY_CODE:
        problem = of_code(code)
        assert problem.why, code
        assert problem.hint, code
        assert "\n" not in problem.why + problem.hint


def test_a_denial_names_action_and_resource_and_drops_the_encoded_part() -> None:
    arn = "arn:aws:iam::123456789012:role/lambda-fs-eks-cluster-role"
    message = f"User: u is not authorized to perform: iam:CreateRole on resource: {arn} because …"
    assert (
        of_code("AccessDenied", message).why
        == f"your credentials lack the permission iam:CreateRole on {arn}"
    )
    secret = "Encoded authorization failure message: abc"
    long = f"You are not authorized to perform: ec2:RunInstances. {secret}"
    assert (
        of_code("UnauthorizedOperation", long).why
        == "your credentials lack the permission ec2:RunInstances"
    )
    assert "abc" not in of_code("Blocked", f"No. {secret}").why


@pytest.mark.parametrize(
    ("error", "why", "hint"),
    [
        (e.NoCredentialsError(), "no AWS credentials", "aws configure"),
        (e.PartialCredentialsError(provider="env", cred_var="x"), "incomplete", "complete"),
        (e.NoRegionError(), "no AWS region", "aws_region"),
        (e.ProfileNotFound(profile="mars"), "mars", "list-profiles"),
        (e.UnauthorizedSSOTokenError(), "session has ended", "aws sso login"),
        (e.SSOTokenLoadError(profile_name="p", error_msg="x"), "session", "aws sso login"),
        (e.LoginRefreshRequired(), "session has ended", "log in again"),
        (e.CredentialRetrievalError(provider="p", error_msg="exit 1"), "exit 1", "by hand"),
        (e.MissingDependencyException(msg="Missing Dependency: crt"), "crt", "botocore[crt]"),
        (e.ConfigParseError(path="/c"), "/c", "~/.aws/config"),
        (e.EndpointConnectionError(endpoint_url="https://x"), "cannot be reached", "network"),
        (e.ReadTimeoutError(endpoint_url="https://x"), "cannot be reached", "network"),
        (
            e.SSLError(endpoint_url="https://x", error=OSError("self-signed")),
            "self-signed",
            "AWS_CA_BUNDLE",
        ),
        (e.InvalidRegionError(region_name="us east"), "us east", "aws_region"),
    ],
)
def test_botocores_errors_have_a_cause_and_a_fix(error: Exception, why: str, hint: str) -> None:
    problem = problem_of(error)
    assert why in problem.why
    assert hint in problem.hint


def test_other_errors_pass_through() -> None:
    unknown = KeyError("x")
    assert to_setup_error(unknown) is unknown
    known = SetupError("a", "b", "c")
    assert to_setup_error(known) is known


def _raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def test_a_missing_profile_is_explained() -> None:
    problem = problem_of(_raised(lambda: Aws(profile="mars", region="us-east-1")))
    assert "mars" in problem.why


def test_an_unreachable_cloud_is_explained() -> None:
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    far = boto3.client(
        "sts", endpoint_url="http://127.0.0.1:9", region_name="us-east-1", config=once
    )
    assert "cannot be reached" in problem_of(_raised(far.get_caller_identity)).why


@pytest.mark.usefixtures("cloud")
def test_an_error_of_the_rehearsal_cloud_is_translated() -> None:
    aws = Aws(region="us-east-1")
    problem = problem_of(_raised(lambda: aws.ec2.describe_vpcs(VpcIds=["vpc-0123456789abcdef0"])))
    assert problem.what == "DescribeVpcs failed (InvalidVpcID.NotFound)"
