"""OpenWhisk's API from a network whose only way out is a proxy: probe, NameNodes, and refusals."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.engine.proxies import HINT_FORBIDDEN, HINT_LOGIN
from aws_setup.engine.wait import Pending
from aws_setup.errors import SetupError
from aws_setup.openwhisk import api
from aws_setup.openwhisk.api_probe import ApiProbe, find_scheme, healthy_invokers
from aws_setup.rehearsal.openwhisk.server import OpenWhiskServer, self_signed, serve
from tests.support.forward_proxy import forward_proxy, use_proxy
from tests.support.openwhisk import client_of

pytestmark = pytest.mark.kind("A6")

HOST = "abc.elb.us-east-1.amazonaws.invalid"
"""A name that only the proxy can resolve."""


def port_of(whisk: OpenWhiskServer) -> int:
    return int(whisk.url.rpartition(":")[2])


def test_probe_and_namenodes_reach_an_api_with_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, whisk = self_signed(), OpenWhiskServer()
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.pem.decode())).hexdigest()
    with serve(whisk, certificate=certificate):
        targets = {f"{HOST}:443": port_of(whisk)}
        with forward_proxy(login="ada:secret", targets=targets) as proxy:
            use_proxy(monkeypatch, proxy.url("ada:secret"))
            probe = find_scheme(HOST, 443)
            assert probe == ApiProbe(f"https://{HOST}:443", fingerprint)
            assert isinstance(healthy_invokers(probe.url), int)
            client = client_of(probe.url, fingerprint=probe.fingerprint)
            assert client.listing() == []
            client.connection.close()
    assert set(proxy.asked) == {f"CONNECT {HOST}:443"}


def test_probe_and_namenodes_reach_an_api_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    whisk = OpenWhiskServer()
    with serve(whisk):
        targets = {f"{HOST}:443": port_of(whisk)}
        with forward_proxy(login="ada:secret", targets=targets) as proxy:
            use_proxy(monkeypatch, proxy.url("ada:secret"))
            assert find_scheme(HOST, 443) == ApiProbe(f"http://{HOST}:443")
            assert client_of(f"http://{HOST}:443").listing() == []


def test_a_tunnel_on_this_computer_is_behind_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    whisk = OpenWhiskServer()
    with serve(whisk), forward_proxy() as proxy:
        use_proxy(monkeypatch, proxy.url())
        assert client_of(whisk.url).listing() == []
        assert find_scheme("127.0.0.1", port_of(whisk)) == ApiProbe(whisk.url)
    assert proxy.asked == []


def waited(monkeypatch: pytest.MonkeyPatch) -> Pending:
    """Return the first state of the step's wait; raises what ends the wait."""
    monkeypatch.setattr(api, "public_host", lambda _: HOST)
    monkeypatch.setattr(api, "_invokers", lambda _: 1)
    monkeypatch.setattr(api, "out_of_service", lambda *_: "")

    def wait_until(what: str, probe: Callable[[], Any], **_: Any) -> Any:
        return probe()

    config = Config(
        ssh_keypair_name="k", ssh_key_path="k", openwhisk_access_cidrs=("192.0.2.1/32",)
    )
    ctx: Any = SimpleNamespace(
        config=config, wait_until=wait_until, defaults=SimpleNamespace(operator_cidrs=())
    )
    found: Any = api.OpenWhiskApi().wait(ctx, SimpleNamespace(since=None))  # type: ignore[arg-type]
    assert isinstance(found, Pending)
    return found


@pytest.mark.parametrize(
    ("login", "why", "hint"),
    [("", "407 Proxy Authentication", HINT_LOGIN), ("ada:secret", "403 Forbidden", HINT_FORBIDDEN)],
)
def test_a_proxy_that_refuses_the_api_ends_the_wait_with_every_way_out(
    monkeypatch: pytest.MonkeyPatch, login: str, why: str, hint: str
) -> None:
    with forward_proxy(login="ada:secret") as proxy:
        use_proxy(monkeypatch, proxy.url(login))
        with pytest.raises(SetupError) as caught:
            waited(monkeypatch)
        with pytest.raises(SetupError) as of_namenodes:
            client_of(f"https://{HOST}:443").listing()
    (problem,) = caught.value.problems
    assert why in problem.why
    for words in (hint, "openwhisk_internal: True", "--tunnel cluster"):
        assert words in problem.hint
    (problem,) = of_namenodes.value.problems
    assert why in problem.why
    assert hint in problem.hint
    assert "--tunnel cluster" in problem.hint
    assert "secret" not in f"{caught.value}{of_namenodes.value}"


def test_plain_http_that_the_proxy_refuses_is_no_answer_of_openwhisk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with forward_proxy(login="ada:secret") as proxy:
        use_proxy(monkeypatch, proxy.url())
        assert "407" in str(healthy_invokers(f"http://{HOST}"))
        with pytest.raises(SetupError) as caught:
            client_of(f"http://{HOST}").listing()
    assert caught.value.problems[0].hint == HINT_LOGIN


def test_a_host_that_the_proxy_cannot_reach_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name is new, or the load balancer drops what comes from the proxy."""
    with forward_proxy(unreachable=[f"{HOST}:443"]) as proxy:
        use_proxy(monkeypatch, proxy.url())
        state = waited(monkeypatch)
    assert "503 Service Unavailable" in state.state
    assert "openwhisk_internal: True" in state.hint
