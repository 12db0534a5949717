"""The emulated OpenWhisk, by HTTP status."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.put_body import MalformedError, read_put
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer
from tests.support.openwhisk import KIND, MAIN, openwhisk

ACTIONS = "/api/v1/namespaces/_/actions"
CODE = base64.b64encode(b"not really a jar, but long enough to be read in pieces" * 50).decode()


@pytest.fixture
def whisk() -> Iterator[OpenWhiskServer]:
    with openwhisk() as running:
        yield running


def ask(
    whisk: OpenWhiskServer, method: str, path: str, body: Any = None, *, auth: str = AUTH
) -> tuple[int, Any]:
    """Send one request; return status and JSON."""
    headers = urllib3.make_headers(basic_auth=auth)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    answer = urllib3.request(method, whisk.url + path, body=content, headers=headers, retries=False)
    try:
        return answer.status, answer.json()
    except ValueError:
        return answer.status, None


def action(name: str = "namenode0", **more: Any) -> dict[str, Any]:
    return {
        "namespace": "_",
        "name": name,
        "exec": {"kind": KIND, "code": CODE, "main": MAIN},
        "annotations": [{"key": "web-export", "value": True}],
        "parameters": [{"key": "actionMemory", "value": 20000}],
        "limits": {"memory": 20000, "concurrency": 4},
    } | more


def put(
    whisk: OpenWhiskServer, name: str = "namenode0", *, overwrite: bool = False, **more: Any
) -> Any:
    path = f"{ACTIONS}/{name}?overwrite={str(overwrite).lower()}"
    return ask(whisk, "PUT", path, action(name, **more))


def test_a_created_action_is_shown_without_its_code(whisk: OpenWhiskServer) -> None:
    status, made = put(whisk)
    assert (status, made["version"]) == (200, "0.0.1")
    status, shown = ask(whisk, "GET", f"{ACTIONS}/namenode0?code=false")
    assert status == 200
    assert shown["exec"] == {"kind": KIND, "main": MAIN, "binary": True}
    assert shown["limits"]["memory"] == 20000


def test_created_twice_is_409_and_overwritten_counts_the_version_up(whisk: OpenWhiskServer) -> None:
    put(whisk)
    status, answer = put(whisk)
    assert (status, answer["error"]) == (409, "resource already exists")
    status, answer = put(whisk, overwrite=True)
    assert (status, answer["version"]) == (200, "0.0.2")
    assert put(whisk, "missing", overwrite=True)[0] == 200


def test_limits_and_annotations_merge_and_parameters_replace(whisk: OpenWhiskServer) -> None:
    put(whisk)
    document = {
        "limits": {"memory": 512},
        "annotations": [{"key": "mine", "value": 1}],
        "parameters": [{"key": "other", "value": 2}],
    }
    status, new = ask(whisk, "PUT", f"{ACTIONS}/namenode0?overwrite=true", document)
    assert status == 200
    assert (new["limits"]["memory"], new["limits"]["concurrency"]) == (512, 4)
    notes = {item["key"]: item["value"] for item in new["annotations"]}
    assert notes["web-export"] is True
    assert notes["mine"] == 1
    assert new["parameters"] == [{"key": "other", "value": 2}]
    assert len(whisk.store.code["namenode0"]) == 64


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"exec": {"kind": "cobol:1", "code": CODE, "main": MAIN}}, 400),
        ({"exec": {"kind": KIND, "code": CODE}}, 400),
        ({"exec": {"kind": KIND, "code": "", "main": MAIN}}, 400),
        ({"exec": None}, 400),
        ({"limits": {"memory": 90000}}, 400),
        ({"limits": {"memory": 1}}, 400),
        ({"limits": {"concurrency": 1000}}, 400),
        ({"exec": {"kind": KIND, "code": "this is no base64!", "main": MAIN}}, 400),
    ],
)
def test_what_the_controller_and_nginx_reject(
    whisk: OpenWhiskServer, more: dict[str, Any], status: int
) -> None:
    assert put(whisk, **more)[0] == status
    assert whisk.store.actions == {}


@pytest.mark.parametrize("length", [48 * 1024 * 1024 + 4, 50 * 1024 * 1024])
def test_code_that_is_too_long_is_413(whisk: OpenWhiskServer, length: int) -> None:
    """It is sent in pieces: the whole request would be in memory several times."""
    document = json.dumps(action(exec={"kind": KIND, "code": "*", "main": MAIN})).encode()
    before, _, after = document.partition(b"*")
    blocks, rest = divmod(length, 1 << 16)
    body = chain([before], repeat(b"A" * (1 << 16), blocks), [b"A" * rest, after])
    headers = urllib3.make_headers(basic_auth=AUTH)
    headers["Content-Length"] = str(len(document) - 1 + length)
    url = f"{whisk.url}{ACTIONS}/namenode0?overwrite=false"
    answer = urllib3.request("PUT", url, body=body, headers=headers, retries=False)
    assert answer.status == 413
    assert whisk.store.actions == {}


def test_a_wrong_or_missing_key_is_401(whisk: OpenWhiskServer) -> None:
    assert ask(whisk, "GET", ACTIONS, auth="a:b")[0] == 401
    assert urllib3.request("GET", whisk.url + ACTIONS).status == 401
    assert urllib3.request("GET", whisk.url + "/").status == 200


def test_unknown_names_are_404(whisk: OpenWhiskServer) -> None:
    assert ask(whisk, "GET", f"{ACTIONS}/none?code=false")[0] == 404
    assert ask(whisk, "DELETE", f"{ACTIONS}/none")[0] == 404
    assert ask(whisk, "POST", f"{ACTIONS}/none?blocking=true", {})[0] == 404
    assert ask(whisk, "GET", "/api/v1/other")[0] == 404


def test_listings_come_in_pages_of_at_most_200(whisk: OpenWhiskServer) -> None:
    for index in range(205):
        whisk.store.actions[f"a{index}"] = whisk.store.actions.get("a0") or put(whisk, "a0")[1]
    pages = [ask(whisk, "GET", f"{ACTIONS}?limit=200&skip={skip}")[1] for skip in (0, 200)]
    assert [len(page) for page in pages] == [200, 5]
    assert "parameters" not in pages[0][0]
    assert "main" not in pages[0][0]["exec"]
    assert len(ask(whisk, "GET", ACTIONS)[1]) == 30
    assert ask(whisk, "GET", f"{ACTIONS}?limit=201")[0] == 400


def test_a_deleted_action_is_gone(whisk: OpenWhiskServer) -> None:
    put(whisk)
    assert ask(whisk, "DELETE", f"{ACTIONS}/namenode0")[0] == 200
    assert ask(whisk, "GET", ACTIONS)[1] == []


def test_names_are_shared_with_triggers(whisk: OpenWhiskServer) -> None:
    whisk.store.others["triggers"] = ["namenode0"]
    status, answer = put(whisk)
    assert status == 409
    assert "not in this collection" in answer["error"]


def test_faults_are_injected_as_often_as_requested(whisk: OpenWhiskServer) -> None:
    whisk.faults.pending.append(Fault(HttpFaultKind.CONCURRENT, times=1))
    whisk.faults.pending.append(Fault(HttpFaultKind.STATUS, status=504, times=1))
    assert "Concurrent modification" in put(whisk)[1]["error"]
    assert put(whisk) == (504, None)
    assert put(whisk)[0] == 200


def test_a_body_without_content_length_is_rejected(whisk: OpenWhiskServer) -> None:
    answer = urllib3.request(
        "PUT",
        f"{whisk.url}{ACTIONS}/a?overwrite=true",
        body=iter([json.dumps(action()).encode()]),
        headers=urllib3.make_headers(basic_auth=AUTH),
        retries=False,
    )
    assert answer.status == 411


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_code_is_hashed_in_pieces_of_any_size(size: int) -> None:
    body = json.dumps(action()).encode()

    class Pieces:
        def __init__(self) -> None:
            self.at = 0

        def read(self, most: int, /) -> bytes:
            piece = body[self.at : self.at + min(most, size)]
            self.at += len(piece)
            return piece

    parsed = read_put(Pieces(), len(body))
    assert parsed.code_length == len(CODE)
    assert parsed.document == action(exec={"kind": KIND, "code": "", "main": MAIN})
    with pytest.raises(MalformedError, match="ended"):
        read_put(Pieces(), len(body) + 1)


def test_a_truncated_request_does_not_affect_others(whisk: OpenWhiskServer) -> None:
    parts = urlsplit(whisk.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as rude:
        rude.sendall(b"PUT /api/v1/namespaces/_/actions/a HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
    assert put(whisk)[0] == 200
