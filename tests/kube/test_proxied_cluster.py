"""A cluster behind a proxy that asks for a login, and one whose CA is of an old form."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
import yaml
from urllib3.util import ssl_

from aws_setup.engine.proxies import HINT_ADDRESS, HINT_FORBIDDEN, HINT_LOGIN
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterConnection, ClusterEndpoint
from aws_setup.kube.eks_token import Tokens
from aws_setup.kube.errors import KubeUnreachable
from aws_setup.kube.objects import NODE
from aws_setup.rehearsal.kubernetes.api.authentication import certificate_authority
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.certificates import ec_key, issued, pem, write
from tests.support.forward_proxy import forward_proxy, use_proxy
from tests.support.kube import StillClock, furnish
from tests.support.port_forward import PortForwards, api_server

pytestmark = pytest.mark.kind("A6")

HOST = "kubernetes"
"""A name in the certificate of the emulated API server that is not this computer's."""

LOGIN = "ada:p@ss/wörd"
IN_URL = "ada:p%40ss%2Fw%C3%B6rd"


@pytest.fixture
def api() -> Iterator[KubeApiServer]:
    with KubeApiServer() as made:
        furnish(made)
        yield made


def of_eks(authority: str, clock: StillClock) -> KubeClient:
    endpoint = ClusterEndpoint(f"https://{HOST}", authority)
    return KubeClient.of_eks(endpoint, Tokens(lambda: "any", clock), clock)


def of_kubeconfig(folder: Path, authority: str, clock: StillClock, **more: Any) -> KubeClient:
    data = b64encode(authority.encode()).decode()
    cluster = {"server": f"https://{HOST}", "certificate-authority-data": data} | more
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "any"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return KubeClient.of_kubeconfig(str(path), None, clock)


@pytest.mark.parametrize("source", ["eks", "kubeconfig", "proxy-url"])
def test_the_cluster_is_reached_through_a_proxy_with_a_login(
    api: KubeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    port, clock = urlsplit(api.url).port or 0, StillClock()
    with forward_proxy(login=LOGIN, targets={f"{HOST}:443": port}) as proxy:
        url = proxy.url(IN_URL)
        use_proxy(monkeypatch, url if source != "proxy-url" else "http://127.0.0.1:9")
        if source == "eks":
            client = of_eks(api.ca_pem, clock)
        else:
            more = {"proxy-url": url} if source == "proxy-url" else {}
            client = of_kubeconfig(tmp_path, api.ca_pem, clock, **more)
        assert len(client.list(NODE)) == 3
    assert (proxy.asked, clock.slept) == ([f"CONNECT {HOST}:443"], [])


def test_a_port_is_forwarded_through_a_proxy_with_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = certificate_authority()
    with socket.create_server(("127.0.0.1", 0)) as pod:
        forwards = PortForwards(pod.getsockname(), "any")
        with api_server(forwards, authority.context) as url:
            targets = {f"{HOST}:443": urlsplit(url).port or 0}
            with forward_proxy(login="ada:secret", targets=targets) as proxy:
                use_proxy(monkeypatch, proxy.url("ada:secret"))
                client = of_eks(authority.pem, StillClock())
                with contextlib.closing(client.forward("nginx", "openwhisk", 80)) as connection:
                    connection.sendall(b"ping")
                    accepted, _ = pod.accept()
                    with accepted:
                        assert accepted.recv(4) == b"ping"
    assert forwards.asked == ["/api/v1/namespaces/openwhisk/pods/nginx/portforward?ports=80"]


@pytest.mark.parametrize(
    ("login", "target", "why", "hint"),
    [
        ("", HOST, "407 Proxy Authentication Required", HINT_LOGIN),
        ("ada:wrong", HOST, "407 Proxy Authentication Required", HINT_LOGIN),
        (IN_URL, "other", "403 Forbidden", HINT_FORBIDDEN),
    ],
)
def test_a_proxy_that_refuses_is_named_at_once_without_its_password(
    api: KubeApiServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    login: str,
    target: str,
    why: str,
    hint: str,
) -> None:
    caplog.set_level("DEBUG")
    clock, port = StillClock(), urlsplit(api.url).port or 0
    with forward_proxy(login=LOGIN, targets={f"{target}:443": port}) as proxy:
        use_proxy(monkeypatch, proxy.url(login))
        with pytest.raises(KubeUnreachable) as caught:
            of_eks(api.ca_pem, clock).list(NODE)
    (problem,) = caught.value.problems
    assert "the proxy does not connect" in problem.why
    assert why in problem.why
    assert problem.hint == hint
    assert clock.slept == [], "nothing changes by waiting"
    for secret in ("p@ss", "p%40ss", "wrong", b64encode(LOGIN.encode()).decode()):
        assert secret not in caplog.text + str(caught.value) + problem.why


def test_a_proxy_that_is_not_there_is_not_taken_for_the_cluster(
    api: KubeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_proxy(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(KubeUnreachable) as caught:
        of_eks(api.ca_pem, StillClock()).list(NODE)
    assert caught.value.problems[0].hint == HINT_ADDRESS


def test_this_computer_is_never_behind_a_proxy(
    api: KubeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_proxy(monkeypatch, "http://127.0.0.1:9")
    clock = StillClock()
    tokens = Tokens(lambda: "any", clock)
    assert KubeClient.of_eks(ClusterEndpoint(api.url, api.ca_pem), tokens, clock).list(NODE)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let urllib3 make contexts as with Python 3.13."""
    plain = ssl_.create_urllib3_context

    def made(*words: Any, **options: Any) -> ssl.SSLContext:
        context = plain(*words, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl_, "create_urllib3_context", made)
    monkeypatch.setattr("urllib3.connection.create_urllib3_context", made)


@pytest.fixture
def old_cluster(tmp_path: Path) -> Iterator[ClusterEndpoint]:
    """A server whose certificate and CA lack the key identifiers, as of EKS clusters of 2020."""
    key, ca_key = ec_key(), ec_key()
    authority = issued("kubernetes", ca_key, authority=True)
    served = issued("api", key, by=("kubernetes", ca_key), addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write(tmp_path, served, pem(key)))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = server.accept()
                    secured = context.wrap_socket(
                        plain, server_side=True, do_handshake_on_connect=False
                    )
                    with contextlib.suppress(OSError), secured as client:
                        client.recv(4096)
                        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield ClusterEndpoint(f"https://127.0.0.1:{server.getsockname()[1]}", authority)
        server.shutdown(socket.SHUT_RDWR)
        serving.join()


@pytest.mark.usefixtures("strict")
def test_a_ca_of_an_old_form_is_accepted_and_still_checked(
    old_cluster: ClusterEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_proxy(monkeypatch, "")
    with ClusterConnection.of_eks(old_cluster).pools as pools:
        assert pools.request("GET", old_cluster.server, retries=False).status == 200
    other = ClusterEndpoint(old_cluster.server, issued("kubernetes", ec_key(), authority=True))
    named = ClusterEndpoint(
        old_cluster.server.replace("127.0.0.1", "localhost"), old_cluster.authority
    )
    for wrong in (other, named):
        refused = pytest.raises(urllib3.exceptions.SSLError)
        with ClusterConnection.of_eks(wrong).pools as pools, refused:
            pools.request("GET", wrong.server, retries=False)
