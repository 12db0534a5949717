"""EKS tokens for tests, signed by botocore as `aws eks get-token` does."""

from __future__ import annotations

import base64
from typing import Any

import boto3
from botocore.signers import RequestSigner
from kubernetes import client

from tests.support.kube import library_client

URL = "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"


def sign(cluster: str, *, url: str = URL, expires: int = 60, headers: bool = True) -> str:
    """Return a token for a cluster, or one that is wrong in a chosen way."""
    session = boto3.Session(region_name="us-east-1")
    sts = session.client("sts")
    credentials = session.get_credentials()
    assert credentials is not None
    signer = RequestSigner(
        sts.meta.service_model.service_id,
        "us-east-1",
        "sts",
        "v4",
        credentials,
        session.events,
    )
    request = {
        "method": "GET",
        "url": url,
        "body": {},
        "headers": {"x-k8s-aws-id": cluster} if headers else {},
        "context": {},
    }
    signed = signer.generate_presigned_url(
        request, region_name="us-east-1", expires_in=expires, operation_name=""
    )
    return encode(signed)


def encode(url: str) -> str:
    """Return a URL as a token."""
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def decode(token: str) -> str:
    """Return the URL in a token."""
    text = token.removeprefix("k8s-aws-v1.")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def connect(name: str, token: str) -> Any:
    """Return the core client of an emulated EKS cluster, by what DescribeCluster says."""
    eks = boto3.client("eks", region_name="us-east-1")
    found = eks.describe_cluster(name=name)["cluster"]
    authority = base64.b64decode(found["certificateAuthority"]["data"]).decode()
    return client.CoreV1Api(library_client(found["endpoint"], authority, token))
