"""EKS tokens: what is signed, and when a token is renewed."""

from __future__ import annotations

import base64
import os
from urllib.parse import parse_qs, urlsplit

import pytest

from aws_setup.aws.session import Aws
from aws_setup.kube.eks_token import PREFIX, REFRESH, Tokens, sign
from aws_setup.rehearsal.kubernetes.api.authentication import InvalidToken, check_token
from tests.support.kube import StillClock


def decode(token: str) -> str:
    body = token.removeprefix(PREFIX)
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()


def test_the_token_is_a_presigned_get_caller_identity_that_names_the_cluster() -> None:
    token = sign(Aws(region="eu-west-1"), "zoo")
    assert token.startswith("k8s-aws-v1.")
    assert "=" not in token
    url = urlsplit(decode(token))
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    assert url.scheme == "https"
    assert url.hostname == "sts.eu-west-1.amazonaws.com"
    assert query["Action"] == "GetCallerIdentity"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert "/eu-west-1/sts/aws4_request" in query["X-Amz-Credential"]
    assert "zoo" not in url.query


@pytest.mark.kind("A6")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL_STS", "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:8000"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
    ],
)
def test_a_token_is_signed_for_a_host_that_eks_knows(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    aws = Aws(region="eu-west-1")
    token = sign(aws, "zoo")
    assert urlsplit(decode(token)).hostname == "sts.eu-west-1.amazonaws.com"
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert check_token(token, cluster="zoo", secrets=[secret]).access_key
    host = urlsplit(aws.client("sts").meta.endpoint_url).hostname
    assert host != "sts.eu-west-1.amazonaws.com", "requests go where the user says"


@pytest.mark.parametrize(
    "host", ["vpce-1.sts.eu-west-1.vpce.amazonaws.com", "sts.eu-west-1.api.aws", "sts.example"]
)
def test_the_rehearsal_refuses_other_hosts_as_eks_does(host: str) -> None:
    own = decode(sign(Aws(region="eu-west-1"), "zoo"))
    other = own.replace("sts.eu-west-1.amazonaws.com", host).encode()
    token = PREFIX + base64.urlsafe_b64encode(other).decode().rstrip("=")
    with pytest.raises(InvalidToken, match=f"not a URL of STS: {host}"):
        check_token(token, cluster="zoo", secrets=["any"])


def test_tokens_of_two_clusters_have_different_signatures() -> None:
    aws = Aws(region="eu-west-1")

    def signature(name: str) -> str:
        return parse_qs(urlsplit(decode(sign(aws, name))).query)["X-Amz-Signature"][0]

    assert signature("zoo") != signature("other")


def test_other_requests_of_the_same_client_are_unchanged() -> None:
    aws = Aws(region="eu-west-1")
    sign(aws, "zoo")
    url = aws.client("sts").generate_presigned_url("get_caller_identity")
    assert "x-k8s-aws-id" not in url


def test_a_token_is_renewed_before_it_expires() -> None:
    clock = StillClock()
    signed = iter(["first", "second", "third"])
    tokens = Tokens(lambda: next(signed), clock)
    assert tokens.get() == "first"
    clock.seconds = REFRESH - 1
    assert tokens.get() == "first"
    clock.seconds = REFRESH
    assert tokens.get() == "second"
    tokens.drop()
    assert tokens.get() == "third"
    assert REFRESH <= 600
