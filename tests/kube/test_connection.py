"""The connection to an EKS cluster: its proxy, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import urllib3

from aws_setup.errors import SetupError
from aws_setup.kube.connection import ClusterConnection, ClusterEndpoint

ROOT = Path(__file__).resolve().parents[2]
URL = "https://ABC.gr7.us-east-1.eks.amazonaws.com"
PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost,.eks.amazonaws.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "eks.amazonaws.com"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,example.org"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
    ],
)
def test_the_proxy_is_the_one_that_the_library_would_use(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], used: str | None
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    from kubernetes import client

    connection = ClusterConnection.of_eks(ClusterEndpoint(URL, "PEM"))
    library = client.ApiClient(connection.settings()).rest_client.pool_manager
    for pools in (connection.pools, library):
        assert type(pools) is (urllib3.ProxyManager if used else urllib3.PoolManager)
        assert (pools.proxy.url if pools.proxy else None) == used
        assert pools.connection_pool_kw["ca_cert_data"] == "PEM"


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("proxy.example:3128", "it is no URL of a proxy"),
        ("ftp://me:secret@proxy.example", "it is no URL of a proxy"),
        ("http://me:secret@proxy.example:99999", "it is no URL of a proxy"),
        ("socks5://proxy.example", "PySocks is not installed"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str, why: str
) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socks", None)
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(SetupError) as caught,
    ):
        ClusterConnection.of_eks(ClusterEndpoint(URL, "PEM"))
    (problem,) = caught.value.problems
    assert problem.why == why
    assert "HTTPS_PROXY" in problem.hint
    assert "secret" not in str(caught.value) + problem.hint


def test_a_connection_to_eks_imports_no_library_of_kubernetes() -> None:
    code = f"""\
import sys
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterEndpoint
from aws_setup.kube.eks_token import Tokens
from aws_setup.engine.wait import SystemClock
clock = SystemClock()
client = KubeClient.of_eks(ClusterEndpoint({URL!r}, "PEM"), Tokens(lambda: "t", clock), clock)
client._authorization()
assert "kubernetes" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
