"""OpenWhisk through its cluster: Service, secrets, and the tunnel through the API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from aws_setup.config import Config
from aws_setup.errors import SetupError
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterEndpoint
from aws_setup.kube.eks_token import Tokens
from aws_setup.kube.errors import KubeError
from aws_setup.kube.objects import ResourceType
from aws_setup.namenodes.action import action_body
from aws_setup.namenodes.tunnel import (
    InCluster,
    fingerprint,
    plain_port,
    scheme_and_port,
    via_cluster,
)
from aws_setup.rehearsal.openwhisk.server import AUTH, Certificate, OpenWhiskServer, self_signed
from tests.support.openwhisk import QuickClock, client_of, desired, jar_of, make_jar, openwhisk
from tests.support.port_forward import PortForwards, api_server

ELB = "service.beta.kubernetes.io/aws-load-balancer-"
PORTS = [
    {"name": "http", "port": 80, "targetPort": "web"},
    {"name": "https", "port": 443, "targetPort": 443},
]
HOST = "abc.elb.us-east-1.amazonaws.com"
POD = {
    "metadata": {"name": "owdev-nginx-1"},
    "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]},
    "status": {"phase": "Running"},
}


def service(*, host: str = HOST, **notes: str) -> dict[str, Any]:
    annotations = {ELB + key.replace("_", "-"): value for key, value in notes.items()}
    return {
        "metadata": {"name": "owdev-nginx", "annotations": annotations},
        "spec": {"ports": PORTS, "selector": {"name": "owdev-nginx"}},
        "status": {"loadBalancer": {"ingress": [{"hostname": host}] if host else []}},
    }


def secret(**data: str) -> dict[str, Any]:
    return {"data": {k.replace("_", "."): base64.b64encode(v.encode()) for k, v in data.items()}}


@dataclass
class Objects:
    """A cluster's objects by plural and name; nothing else exists."""

    held: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)

    def get(self, kind: ResourceType, name: str, namespace: str) -> dict[str, Any] | None:
        assert namespace == "openwhisk"
        return self.held.get((kind.plural, name))

    def list(self, kind: ResourceType, namespace: str, *, labels: str) -> list[dict[str, Any]]:
        assert (kind.plural, labels) == ("pods", "name=owdev-nginx")
        return self.pods


def in_cluster(objects: Objects, **keys: Any) -> InCluster:
    config = Config(ssh_keypair_name="k", ssh_key_path="/k", **keys)
    return InCluster(cast(KubeClient, objects), config)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return self_signed("openwhisk")


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({}, ("http", 80)),
        ({"ssl_cert": "arn", "ssl_ports": "https-api"}, ("http", 80)),
        ({"ssl_cert": "arn", "ssl_ports": "https"}, ("https", 443)),
        ({"ssl_cert": "arn", "ssl_ports": "443"}, ("https", 443)),
        ({"ssl_cert": "arn"}, ("https", 80)),
        ({"ssl_ports": "https"}, ("http", 80)),
    ],
)
def test_which_port_uses_tls(notes: dict[str, str], expected: tuple[str, int]) -> None:
    assert scheme_and_port(service(**notes)) == expected


def test_service_and_secrets_tell_host_key_and_certificate(certificate: Certificate) -> None:
    pem = certificate.pem.decode()
    objects = Objects(
        {
            ("services", "owdev-nginx"): service(ssl_cert="arn", ssl_ports="https"),
            ("secrets", "owdev-whisk.auth"): secret(guest="g:key", system="s:key"),
            ("secrets", "owdev-nginx"): secret(tls_crt=pem + self_signed().pem.decode()),
        }
    )
    access = in_cluster(objects).access()
    assert access is not None
    assert (access.apihost, access.auth) == (f"https://{HOST}:443", "g:key")
    assert access.fingerprint == fingerprint(pem) != ""
    assert access.inside == f"https://{HOST}:443"
    objects.held["services", "owdev-public"] = service(
        host="public.elb", ssl_cert="arn", ssl_ports="https"
    )
    both = in_cluster(objects).access()
    assert both is not None
    assert (both.apihost, both.inside) == ("https://public.elb:443", f"https://{HOST}:443")
    # openwhisk_api_port is the public load balancer's.
    public = [{"name": "https", "port": 8443}]
    objects.held["services", "owdev-public"]["spec"] = {"ports": public}
    other = in_cluster(objects).access()
    assert other is not None
    assert (other.apihost, other.inside) == ("https://public.elb:8443", f"https://{HOST}:443")
    tunnel = in_cluster(
        objects, openwhisk_tls_arn="arn:aws:acm:us-east-1:123456789012:certificate/a"
    ).access()
    assert tunnel is not None
    assert tunnel.fingerprint == ""


def test_no_chart_and_no_address_yet() -> None:
    assert in_cluster(Objects()).access() is None
    pending = Objects({("services", "owdev-nginx"): service(host="")})
    with pytest.raises(SetupError, match="no address yet"):
        in_cluster(pending).access()


def test_no_running_nginx_is_an_error() -> None:
    objects = Objects(
        {("services", "owdev-nginx"): service()}, [POD | {"status": {"phase": "Pending"}}]
    )
    with pytest.raises(SetupError, match="nginx is not running"), in_cluster(objects).forward():
        pass


def test_the_port_of_the_pod_may_have_a_name() -> None:
    assert plain_port(service(), POD) == 8080
    assert plain_port({"spec": {"ports": [{"name": "http", "port": 80}]}}, POD) == 80


@dataclass
class Tunnelled(Objects):
    """Objects, and port-forwarding by a real client."""

    client: KubeClient | None = None

    def forward(self, pod: str, namespace: str, port: int) -> Any:
        assert self.client is not None
        return self.client.forward(pod, namespace, port)


@pytest.fixture
def whisk() -> Iterator[OpenWhiskServer]:
    with openwhisk() as running:
        yield running


def tunnelled(url: str, authority: str, token: str = "t0ken") -> InCluster:
    clock = QuickClock()
    client = KubeClient.of_eks(ClusterEndpoint(url, authority), Tokens(lambda: token, clock), clock)
    held = {
        ("services", "owdev-nginx"): service(host=""),
        ("secrets", "owdev-whisk.auth"): secret(guest=AUTH),
    }
    return in_cluster(Tunnelled(held, [POD], client))


def test_jars_go_through_the_api_server(
    whisk: OpenWhiskServer, certificate: Certificate, tmp_path: Path
) -> None:
    port = urlsplit(whisk.url).port
    forwards = PortForwards(("127.0.0.1", port or 0), "t0ken")
    jar = jar_of(make_jar(tmp_path / "nn.jar", size=2_000_000))
    with (
        api_server(forwards, certificate.context()) as url,
        via_cluster(tunnelled(url, certificate.pem.decode()), "") as endpoint,
    ):
        client = client_of(endpoint.url, auth=endpoint.auth)
        assert client.listing() == []
        body = action_body("namenode0", desired(jar), jar, version="0.0.1")
        client.put("namenode0", body, overwrite=False, sent=lambda _: None)
    assert whisk.puts[0]["sha256"] == jar.sha256
    path = "/api/v1/namespaces/openwhisk/pods/owdev-nginx-1/portforward?ports=8080"
    assert set(forwards.asked) == {path}


def test_another_authority_or_token_does_not_open_the_tunnel(
    whisk: OpenWhiskServer, certificate: Certificate
) -> None:
    forwards = PortForwards(("127.0.0.1", urlsplit(whisk.url).port or 0), "t0ken")
    with api_server(forwards, certificate.context()) as url:
        for authority, token in ((self_signed().pem, "t0ken"), (certificate.pem, "other")):
            cluster = tunnelled(url, authority.decode(), token)
            with pytest.raises(KubeError, match="no port of the pod"), cluster.forward():
                pass
    assert whisk.requests == {}
