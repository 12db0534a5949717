"""Errors of AWS and botocore become messages with cause and fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socket import gaierror

import boto3
import pytest
from botocore import exceptions as e
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NameResolutionError, ProxyError

from aws_setup.aws.credential_errors import message_of_class
from aws_setup.aws.error_messages import MESSAGES_BY_CODE
from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.reasons import (
    health_issues,
    hint_of_reason,
    known_fix,
    state_reason,
    update_errors,
)
from aws_setup.aws.session import Aws
from aws_setup.engine.http_deadline import HINT_CLOCK
from aws_setup.errors import SetupError
from tests.support.aws_errors import of_code, problem_of
from tests.support.hostile_http import server_of_tomorrow


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
        ("InsufficientInstanceCapacity", "no capacity", "instance type"),
        ("Unsupported", "not offered in the zone", "instance type"),
        ("InvalidKeyPair.NotFound", "not registered in this region", "ssh_keypair_name"),
        ("InvalidAMIID.NotFound", "does not exist in this region", "*_ami"),
        ("RequestLimitExceeded", "still throttling this account after 1 attempt", "resumes"),
        ("DependencyViolation", "still uses it", "wait a minute"),
        ("InvalidVpcID.NotFound", "does not exist (any more)", "resumes from here"),
        ("SomethingElse", "AWS's message", "docs/troubleshooting.md"),
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
    because = f"{message[:-1]}no identity-based policy allows the iam:CreateRole action"
    assert (
        of_code("AccessDenied", because).why
        == f"your credentials lack the permission iam:CreateRole on {arn}: "
        "no identity-based policy allows the iam:CreateRole action"
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
        (
            e.EndpointConnectionError(
                endpoint_url="https://x",
                error=NameResolutionError("x", HTTPConnection("x"), gaierror()),
            ),
            "cannot resolve its name",
            "DNS",
        ),
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


@pytest.mark.parametrize(
    ("url", "cause", "hint"),
    [
        ("http://p:9", OSError(111, "Connection refused"), "check HTTPS_PROXY"),
        ("http://p:9", OSError("Tunnel connection failed: 407 Proxy"), "USER:PASSWORD"),
        ("http://p:9", OSError("Tunnel connection failed: 403 Forbidden"), "let this host"),
        ("http://socks5://p:9", OSError(111, "Connection refused"), "no SOCKS proxy"),
    ],
)
def test_a_proxy_that_does_not_connect_has_the_fix_of_its_cause(
    url: str, cause: OSError, hint: str
) -> None:
    """It was one fix for all causes, and said twice that the proxy does not connect."""
    refused = ProxyError("Cannot connect to proxy.", cause)
    problem = problem_of(
        e.ProxyConnectionError(proxy_url=url, endpoint_url="https://x", error=refused)
    )
    assert problem.why.count("does not connect") == 1
    assert hint in problem.hint
    assert "for 407" not in problem.hint


def test_an_endpoint_of_the_environment_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a rehearsal, in the terminal with its variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:46851/")
    url = "http://127.0.0.1:46851/clusters/lambda-fs-eks-cluster"
    problem = problem_of(e.EndpointConnectionError(endpoint_url=url))
    assert url in problem.why
    assert problem.hint.startswith("unset AWS_ENDPOINT_URL")
    assert "where nothing answers" in problem.why
    cause = NameResolutionError("x", HTTPConnection("x"), gaierror())
    problem = problem_of(e.EndpointConnectionError(endpoint_url=url, error=cause))
    assert "cannot resolve" in problem.why
    assert problem.hint.startswith("unset AWS_ENDPOINT_URL, or correct it")
    problem = problem_of(e.EndpointConnectionError(endpoint_url="https://ec2.x.amazonaws.com"))
    assert "AWS_ENDPOINT_URL" not in problem.hint


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


def test_a_certificate_of_tomorrow_blames_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_of_tomorrow(tmp_path) as (url, certificate):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=30)
        # That of boto3 itself may have read the variables of an earlier test.
        mine = boto3.session.Session(region_name="us-east-1")
        far = mine.client("sts", endpoint_url=url, config=once)
        problem = problem_of(_raised(far.get_caller_identity))
    assert "certificate is not yet valid" in problem.why
    assert problem.hint == HINT_CLOCK


@pytest.mark.usefixtures("cloud")
def test_an_error_of_the_rehearsal_cloud_is_translated() -> None:
    aws = Aws(region="us-east-1")
    problem = problem_of(_raised(lambda: aws.ec2.describe_vpcs(VpcIds=["vpc-0123456789abcdef0"])))
    assert problem.what == "DescribeVpcs failed (InvalidVpcID.NotFound)"


@pytest.mark.kind("A10")
@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("Client.InternalError", "Client.InternalError: Client error on launch", "default-kms-key"),
        (
            "Server.InternalError",
            "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state",
            "default-kms-key",
        ),
        ("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: limit", "Service Quotas"),
        ("Client.InvalidSnapshot.NotFound", "Client.InvalidSnapshot.NotFound: x", "another AMI"),
        ("Client.SomethingNew", "Client.SomethingNew: x", "again alone would end"),
        ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: x", "to replace it"),
        ("Server.InternalError", "Server.InternalError: error on launch", "may pass"),
        ("Server.InsufficientInstanceCapacity", "Server.InsufficientInstanceCapacity", "wait"),
    ],
)
def test_the_fix_of_a_dead_machine_follows_its_cause(code: str, message: str, hint: str) -> None:
    why, fix = state_reason({"Code": code, "Message": message})
    assert why == message
    assert hint in fix


@pytest.mark.kind("A10")
@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("We currently do not have sufficient r5.4xlarge capacity in the zone.", "instance type"),
        ("There is no Spot capacity available that matches your request.", "instance type"),
        ("You have requested more vCPU capacity than your current vCPU limit of 32", "Quotas"),
        ("The key pair 'x' does not exist. Launching EC2 instance failed.", "ssh_keypair_name"),
        ("The image id '[ami-1]' does not exist.", "*_ami"),
        ("There are not enough free addresses in subnet 'subnet-1'.", "larger subnet"),
        (
            "Your requested instance type (x) is not supported in your requested Availability",
            "instance type",
        ),
        ("You are not subscribed to this service.", "sign-up"),
        ("Could not launch On-Demand Instances. Unsupported - Your requested", "instance type"),
        ("Access denied when attempting to assume role r/aws-service-role/x", "LinkedRole"),
        ("NodeCreationFailure: Instances failed to join the kubernetes cluster", "route"),
        ("Ec2ServiceNotSubscribed: x", "sign-up"),
        ("InsufficientFreeAddresses: x", "larger subnet"),
        ("KmsKeyDisabled: x", "key"),
        ("StsRegionalEndpointDisabled: x", "activate"),
        (
            "AsgInstanceLaunchFailures: Could not launch On-Demand Instances. "
            "InvalidParameterCombination - The specified instance type is not eligible for Free "
            "Tier. For a list of Free Tier instance types, run 'describe-instance-types' with the "
            "filter 'free-tier-eligible=true'. Launching EC2 instance failed.",
            "Paid plan",
        ),
    ],
)
def test_a_reason_in_words_has_the_fix_of_its_cause(reason: str, hint: str) -> None:
    assert hint in known_fix(reason)


@pytest.mark.kind("A10")
def test_a_reason_without_text_or_code_is_no_word_of_python() -> None:
    assert state_reason({"Code": "Client.InternalError", "Message": None})[0] == (
        "Client.InternalError"
    )
    assert state_reason({"Code": None, "Message": None})[0] == "AWS gives no reason"
    assert health_issues({"health": {"issues": [{"code": "X", "message": None}]}}) == ["X"]
    assert update_errors({}) == "EKS gives no reason"


@pytest.mark.kind("A2", "A10")
def test_the_fix_of_a_scaling_activity_follows_its_cause() -> None:
    told = "Could not launch On-Demand Instances. {} - text. Launching EC2 instance failed."
    assert "Service Quotas" in hint_of_reason(told.format("VcpuLimitExceeded"))
    assert "another instance type" in hint_of_reason(told.format("InsufficientInstanceCapacity"))
    unhealthy = "Instance became unhealthy. Termination Reason: Client.InternalError: Client error"
    assert "default-kms-key" in hint_of_reason(unhealthy)
    assert hint_of_reason("a text without any code")


@pytest.mark.kind("A10")
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("NewThingLimitExceeded", "Service Quotas"),
        ("ServiceQuotaExceededException", "Service Quotas"),
        ("TooManyLoadBalancers", "Service Quotas"),
        ("SomeThrottlingException", "wait a minute"),
        ("NoSuchEntity", "resumes"),
        ("KMSKeyDisabledFault", "default-kms-key"),
        ("KmsThrottledException", "wait a minute"),
        ("InternalServerException", "resumes"),
        ("InsufficientReservedInstanceCapacity", "another instance type"),
    ],
)
def test_families_of_codes_are_rules(code: str, hint: str) -> None:
    assert hint in of_code(code).hint


@pytest.mark.kind("A3")
@pytest.mark.parametrize("what", ["instance type", "image"])
def test_what_the_free_plan_does_not_launch_names_the_plan(what: str) -> None:
    problem = of_code(
        "InvalidParameterCombination", f"The specified {what} is not eligible for Free Tier. For …"
    )
    assert "Free plan" in problem.why
    assert f"The specified {what}" in problem.why
    assert "upgrade the account to the Paid plan" in problem.hint


@pytest.mark.kind("A10")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SignatureDoesNotMatch", "Signature expired: 20261127T000000Z is now earlier than …"),
        ("InvalidSignatureException", "Signature not yet current: 2026… is still later than …"),
        ("RequestTimeTooSkewed", "The difference is too large."),
    ],
)
def test_a_wrong_clock_is_told_as_a_clock(code: str, message: str) -> None:
    problem = of_code(code, message)
    assert "clock is wrong" in problem.why
    assert "clock" in problem.hint


@pytest.mark.kind("A10")
@pytest.mark.parametrize("code", ["RequestExpired", "AuthFailure"])
def test_an_ambiguous_code_is_decided_by_the_date_of_the_answer(code: str) -> None:
    response = {
        "Error": {"Code": code, "Message": "text"},
        "ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2015 00:00:00 GMT"}},
    }
    problem = problem_of(ClientError(response, "RunInstances"))  # type: ignore[arg-type]
    assert "minutes ahead of AWS's" in problem.why
    assert "clock is wrong" not in of_code(code).why


def _subclasses(kind: type[Exception]) -> set[type[Exception]]:
    found = set(kind.__subclasses__())
    return found | {deeper for one in found for deeper in _subclasses(one)}


@pytest.mark.kind("A6")
def test_every_exception_of_botocore_has_a_sentence_with_a_fix() -> None:
    own = {kind for kind in _subclasses(e.BotoCoreError) if kind.__module__ == e.__name__}
    assert len(own) > 80
    without = [kind.__name__ for kind in own if message_of_class(kind.__new__(kind)) is None]
    assert sorted(without) == []


@pytest.mark.kind("A6")
def test_a_wrong_mfa_code_and_the_end_of_a_session_are_named() -> None:
    failed = "MultiFactorAuthentication failed with invalid MFA one time pass code."
    problem = of_code("AccessDenied", failed, "AssumeRole")
    assert "the MFA code was wrong" in problem.why
    assert "next code" in problem.hint
    ended = problem_of(e.RefreshWithMFAUnsupportedError())
    assert "session has ended" in ended.why
    assert "duration_seconds" in ended.hint
