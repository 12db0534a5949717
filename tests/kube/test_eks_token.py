"""EKS tokens: what is signed, and when a token is renewed."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

from aws_setup.aws.session import Aws
from aws_setup.kube.eks_token import PREFIX, REFRESH, Tokens, sign
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
