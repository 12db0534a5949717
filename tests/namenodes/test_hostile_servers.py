"""Servers that answer without end, slowly or with nonsense: every request ends, with a sentence."""

from __future__ import annotations

import json
import re
import socket
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client as kubernetes_client
from urllib3.util import connection

from aws_setup import __version__
from aws_setup.engine.deadline import within
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import SetupError
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterConnection
from aws_setup.kube.errors import KubeError
from aws_setup.kube.objects import NODE
from aws_setup.namenodes.client import PAGE, Client
from aws_setup.namenodes.uploader import Abort, Upload
from aws_setup.openwhisk import api_probe as api
from aws_setup.preflight import public_ip
from tests.support.hostile_http import (
    Answer,
    body,
    endless,
    hostile_server,
    silent,
    slow_body,
    slow_head,
    slow_reader,
)
from tests.support.openwhisk import client_of, desired, jar_of, make_jar

pytestmark = pytest.mark.kind("C4")

HOSTILE = {f.__name__: f for f in (endless, slow_body, slow_head, silent)}
SOON = 0.3


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aws_setup.engine.deadline.LAST_TRY", SOON)
    monkeypatch.setattr("aws_setup.namenodes.http.ANSWER_LIMIT", 20_000_000)
    monkeypatch.setattr("aws_setup.kube.client.ANSWER_LIMIT", 20_000_000)


def openwhisk(url: str) -> Client:
    return replace(client_of(url, clock=SystemClock(pace=0.01)), deadline=SOON)


def kubernetes(url: str) -> KubeClient:
    settings = kubernetes_client.Configuration(host=url)
    return KubeClient(
        ClusterConnection.of_library(kubernetes_client.ApiClient(settings)), SystemClock(pace=0.01)
    )


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_request_to_openwhisk_ends_at_its_deadline(answer: Answer) -> None:
    with hostile_server(answer) as (url, _), pytest.raises(SetupError) as caught:
        openwhisk(url).listing()
    assert caught.value.problems[0].hint


@pytest.mark.parametrize(
    ("answer", "why", "hint"),
    [
        (
            slow_reader,
            r"^[\d.]+ of 24\.\d MiB were sent to http://\S+ in ",
            "--jobs 1 --timeout 1800",
        ),
        # The pool's own time-out is the rest of the same time, and may come first.
        (silent, "sent no complete answer within|answer timed out", "if the deployment is paused"),
    ],
)
def test_an_upload_that_was_not_sent_in_time_blames_the_connection_not_openwhisk(
    tmp_path: Path, answer: Answer, why: str, hint: str
) -> None:
    jar = jar_of(make_jar(tmp_path / "nn.jar", size=19_000_000))
    seconds = 1.5
    with hostile_server(answer) as (url, _), pytest.raises(SetupError) as caught:
        client = replace(client_of(url, clock=SystemClock()), deadline=seconds)
        Upload(client, "namenode0", desired(jar), jar, None, Abort()).run()
    (problem,) = caught.value.problems
    assert problem.what.startswith("create namenode0: no success within")
    assert re.search(why, problem.why)
    assert hint in problem.hint


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_request_to_kubernetes_ends_at_the_deadline_around_it(answer: Answer) -> None:
    clock = SystemClock(pace=0.01)
    with (
        hostile_server(answer) as (url, _),
        within(SOON, clock=clock),
        pytest.raises(KubeError) as caught,
    ):
        kubernetes(url).list(NODE)
    assert caught.value.problems[0].hint


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_the_look_for_the_public_address_ends(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(public_ip, "TIMEOUT_SECONDS", SOON)
    with hostile_server(answer) as (url, _):
        monkeypatch.setenv(public_ip.VARIABLE, url)
        with pytest.raises((OSError, ValueError)):
            IPv4Address(public_ip._look_up())


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_the_probe_of_the_api_ends(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    monkeypatch.setattr(api, "ANSWER_SECONDS", SOON)
    with hostile_server(answer) as (url, _):
        status, why, _ = api._get(url)
    assert status == 0
    # The pool's own time-out is the rest of the same time, and may come first.
    assert re.search("within|longer than|timed out", why), why


def test_where_nothing_accepts_a_connection_it_is_tried_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []
    plain = connection.create_connection

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        tried.append(address)
        return plain(address, *args, **kwargs)

    monkeypatch.setattr(api, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(connection, "create_connection", connect)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as queue:
        address = full.getsockname()
        # A full queue: the system drops the packets of further connections (listen(2)).
        queue.enter_context(socket.create_connection(address))
        assert "timed out" in str(api.find_scheme(*address))
    assert tried == [address]
    assert "refused" in str(api.find_scheme(*address))
    assert tried == [address] * 2


def pages(*, repeat: bool) -> Answer:
    """Return an answer with full pages for ever: new entries, or the same again."""

    def send(client: socket.socket, path: str) -> None:
        skip = 0 if repeat else int(parse_qs(urlsplit(path).query)["skip"][0])
        entries = [{"name": f"a{n}", "namespace": "guest"} for n in range(skip, skip + PAGE)]
        body(json.dumps(entries).encode())(client, path)

    return send


@pytest.mark.parametrize(("repeat", "why"), [(True, "repeats"), (False, "more than 3 pages")])
def test_pages_without_end_are_refused(
    monkeypatch: pytest.MonkeyPatch, repeat: bool, why: str
) -> None:
    monkeypatch.setattr("aws_setup.namenodes.client.MOST_PAGES", 3)
    with hostile_server(pages(repeat=repeat)) as (url, requests):
        client = replace(openwhisk(url), deadline=20)
        with pytest.raises(SetupError, match=why):
            client.listing()
    assert len(requests) <= 3


NONSENSE = {
    "html": b"<html>a proxy</html>",
    "deep": b"[" * 100_000,
    "no utf-8": b'["\xff\xfe"]',
    "empty": b"",
    "number": b"1",
    "numbers": b"[1, 2]",
    "null": b"null",
    "huge number": b"9" * 5000,
}


@pytest.mark.kind("C7")
@pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_a_sentence_with_a_fix(content: bytes) -> None:
    with hostile_server(body(content)) as (url, _):
        whisk, kube = replace(openwhisk(url), deadline=20), kubernetes(url)
        for look in (whisk.listing, lambda: whisk.action("a"), lambda: whisk.activation("b")):
            with pytest.raises(SetupError) as caught:
                look()
            assert caught.value.problems[0].hint
        if content:
            with pytest.raises(KubeError, match="no answer of Kubernetes") as refused:
                kube.list(NODE)
            assert "HTTPS_PROXY" in refused.value.problems[0].hint, "somebody has answered"


@pytest.mark.kind("D6")
def test_every_request_says_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_server(body(b"{}")) as (url, requests):
        monkeypatch.setenv(public_ip.VARIABLE, url)
        public_ip._look_up()
        kubernetes(url).list(NODE)
        openwhisk(url).info()
        with pytest.raises(SetupError):
            openwhisk(url).listing()
        assert api._get(url)[0] == 200
    assert len(requests) == 5
    for head in requests:
        assert f"\r\nuser-agent: lambda-fs/{__version__}\r\n" in head.lower()
