"""Registries are asked for the digests of images: every form of name, and every bad answer."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_setup.config.lock_file import Lock
from aws_setup.openwhisk.registries import DOCKER_HUB, MOST, Image, RegistryAnswer, ask, image_of
from aws_setup.preflight import recorded_images
from aws_setup.rehearsal.core.image_registry import digest_of
from aws_setup.rehearsal.core.loopback import LoopbackServer
from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.aws import cloud, settings

__all__ = ["cloud", "settings"]

DIGEST = "sha256:" + "a" * 64
Reply = Callable[[http.server.BaseHTTPRequestHandler], None]


@pytest.mark.parametrize(
    ("name", "host", "repository", "reference"),
    [
        ("redis", DOCKER_HUB, "library/redis", "latest"),
        ("docker.io/library/redis:4.0", DOCKER_HUB, "library/redis", "4.0"),
        ("index.docker.io/lab/nn:1", DOCKER_HUB, "lab/nn", "1"),
        ("openwhisk/controller:ef725a6", DOCKER_HUB, "openwhisk/controller", "ef725a6"),
        ("quay.io/a/b/c:v1", "quay.io", "a/b/c", "v1"),
        ("localhost/a:1", "localhost", "a", "1"),
        ("10.0.0.5:5000/a", "10.0.0.5:5000", "a", "latest"),
        ("[fd00::1]:5000/a:2", "[fd00::1]:5000", "a", "2"),
        (f"redis:4.0@{DIGEST}", DOCKER_HUB, "library/redis", DIGEST),
    ],
)
def test_a_name_says_where_the_image_is(
    name: str, host: str, repository: str, reference: str
) -> None:
    assert image_of(name) == Image(host, repository, reference)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "a:",
        "UPPER/case:1",
        "a b:1",
        "a:1\x1b[31m",
        "host.io/../x:1",
        "h.io/?q:1",
        "a@sha1:0",
        "user@host.io/a:1",
        "http://h.io/a:1",
        "h.io/a//b:1",
        f"a:{'t' * 200}",
        "a#b:1",
        "h.io/",
    ],
)
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    assert image_of(name) is None
    assert ask([name]) == {name: RegistryAnswer(why="it is not the name of an image")}


def test_a_registry_gives_the_digest_that_the_nodes_would_pull(cloud: RehearsalCloud) -> None:
    names = ["redis:4.0", "quay.io/a/b:v1", f"openwhisk/controller:1@{DIGEST}"]
    assert ask(names) == {name: RegistryAnswer(digest_of(name)) for name in names}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], None]]:
    started = []

    def start(reply: Reply) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                reply(self)

            do_GET = do_HEAD

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = LoopbackServer(0, Handler)
        server.start()
        started.append(server)
        monkeypatch.setenv("AWS_SETUP_REGISTRY", f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in started:
        server.stop()


def respond(status: int, body: bytes = b"", **headers: str) -> Reply:
    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    return reply


BEARER = 'Bearer realm="{}",service="s",scope="repository:library/redis:pull"'


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (respond(200), "without a digest"),
        (respond(200, Docker_Content_Digest="md5:1"), "without a digest"),
        (respond(403), "without a login"),
        (respond(401, WWW_Authenticate='Basic realm="x"'), "without a login"),
        (respond(401, WWW_Authenticate=BEARER.format("ftp://x/")), "without TLS"),
        (respond(401, WWW_Authenticate="Bearer nonsense"), "without TLS"),
        (respond(429), "limits requests"),
        (respond(500), "HTTP 500"),
        (respond(302, Location="file:///etc/passwd"), "HTTP 302"),
    ],
)
def test_an_answer_without_a_digest_says_why(
    serve: Callable[[Reply], None], reply: Reply, said: str
) -> None:
    serve(reply)
    answer = ask(["redis"])["redis"]
    assert said in answer.why
    assert not (answer.digest or answer.gone)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"token": 7}',
        b'{"token": "a\\r\\nHost: x"}',
        b"[" * 9000,
        b'{"token": "' + b"t" * 200_000 + b'"}',
    ],
)
def test_a_token_that_is_none_is_told(serve: Callable[[Reply], None], body: bytes) -> None:
    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        realm = f"http://{handler.headers['Host']}/token"
        wanted = respond(401, WWW_Authenticate=BEARER.format(realm))
        (respond(200, body) if handler.command == "GET" else wanted)(handler)

    serve(reply)
    assert "it gave no token" in ask(["redis"])["redis"].why


def test_a_silent_registry_ends_with_the_deadline(serve: Callable[[Reply], None]) -> None:
    ended = threading.Event()

    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        """RegistryAnswer a byte at a time, which a socket's time-out does not end."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.05):
            try:
                handler.wfile.write(b"X: 1\r\n")
            except OSError:
                return

    serve(reply)
    # The answer ends only afterwards.
    assert "within 0.3 s" in ask(["redis"], seconds=0.3)["redis"].why
    ended.set()


def test_many_images_are_asked_for_up_to_a_limit(cloud: RehearsalCloud) -> None:
    names = [f"lab/image:{number:03}" for number in range(MOST + 40)]
    images = [f"{name}@{digest_of(name)}" for name in names]
    lock = Lock(Path("paper.lock.yaml"), "us-east-1", {}, {"cluster": {"images": images}})
    [finding] = recorded_images.check(lock)
    assert finding.what == "40 container images of 100 could not be compared"
    assert finding.why == "40 others: only the first 60 are asked for"
