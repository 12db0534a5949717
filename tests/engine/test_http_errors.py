"""Why a request had no answer: words for each of urllib3's exceptions, from real connections."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import pytest
import urllib3

from aws_setup.engine.http_deadline import NOT_ACCEPTED, why_broken
from tests.support.certificates import ec_key, issued, pem, write
from tests.support.hostile_http import hostile_server, silent

OBJECTS = re.compile(r"HTTPS?Connection|Pool\(|object at|Error\(|\[Errno|\('|_ssl\.c")
"""What only a Python programmer can read."""


def reason(url: str, *, seconds: float = 30) -> str:
    """Return the words for what goes wrong with one request."""
    with (
        urllib3.PoolManager() as pool,
        pytest.raises((urllib3.exceptions.HTTPError, OSError)) as it,
    ):
        pool.request("GET", url, retries=False, timeout=seconds)
    words = why_broken(it.value)
    assert not OBJECTS.search(words), words
    return words


def closed(client: socket.socket, _: str) -> None:
    client.close()


def no_http(client: socket.socket, _: str) -> None:
    client.sendall(b"220 mail.example.org ESMTP\r\n")


def cut_off(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (closed, "the connection was closed without an answer"),
        (no_http, "what answers does not speak HTTP"),
        (cut_off, "the connection was closed in the middle of the answer"),
    ],
)
def test_a_server_that_does_not_answer_as_one_should(answer: object, words: str) -> None:
    with hostile_server(answer) as (url, _):  # type: ignore[arg-type]
        assert reason(url) == words


def test_a_silent_server() -> None:
    with hostile_server(silent) as (url, _):
        assert reason(url, seconds=0.2) == "the answer timed out"


def test_a_closed_port_and_a_name_that_does_not_resolve() -> None:
    assert reason("http://127.0.0.1:1/") == "connection refused"
    assert reason("http://name.invalid/") == "the host name does not resolve"


def test_http_where_https_is_expected() -> None:
    with hostile_server(no_http) as (url, _):
        assert reason(url.replace("http:", "https:")).startswith("TLS: ")


def test_a_port_that_drops_packets() -> None:
    error = urllib3.exceptions.ConnectTimeoutError(None, "Connection to x timed out. (connect=5)")
    error.__cause__ = TimeoutError("timed out")
    assert why_broken(error) == "the connection timed out"


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    key = ec_key()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write(tmp_path, issued("proxy", key), pem(key)))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                context.wrap_socket(client, server_side=True)

        serving = threading.Thread(target=serve)
        serving.start()
        words = reason(f"https://127.0.0.1:{server.getsockname()[1]}/")
        serving.join()
    assert words == f"{NOT_ACCEPTED}: self-signed certificate"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "connection refused"),
        ("http://name.invalid/", "the host name does not resolve"),
    ],
)
def test_what_pythons_own_client_raises(url: str, words: str) -> None:
    with pytest.raises(URLError) as it:
        urllib.request.urlopen(url, timeout=30)
    assert why_broken(it.value) == words
