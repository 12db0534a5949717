"""Clients of the emulated AWS in its own process: requests without connections and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from aws_setup.rehearsal.core.protocol import HttpRequest
from aws_setup.rehearsal.core.server import RehearsalCloud

KEY = "AKIAREHEARSAL0000000"
"""The access key of the operator."""


class Clients(dict[tuple[str, str], Any]):
    """The clients of a cloud, which are freed with it, by service and access key."""


def aws_client(cloud: RehearsalCloud, service: str, *, key: str = KEY) -> Any:
    """Return a client, which is made once: a fork has a copy of it that it may use."""
    made = cloud.store_of(Clients)
    if (service, key) not in made:
        made[service, key] = _new_client(cloud, service, key)
    return made[service, key]


class DirectClient:
    """Calls of the operator's account by boto3's names, answered without requests and permissions.

    What a call returns may be the emulated service's own: it must not be changed.
    """

    def __init__(self, cloud: RehearsalCloud, service: str) -> None:
        """Take the names of the calls from a client."""
        self._cloud, self._service = cloud, service
        self._actions = aws_client(cloud, service).meta.method_to_api_mapping

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a call."""
        return partial(self._cloud.call, self._service, self._actions[name])


def _new_client(cloud: RehearsalCloud, service: str, key: str) -> Any:
    client = boto3.client(  # type: ignore[call-overload]
        service,
        region_name="us-east-1",
        endpoint_url=cloud.url,
        aws_access_key_id=key,
        aws_secret_access_key="made-up",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        parts = urlsplit(request.url)
        body: Any = request.body or b""
        answer = cloud.handle(
            HttpRequest(
                method=request.method,
                target=f"{parts.path}?{parts.query}" if parts.query else parts.path,
                headers={name.lower(): _text(value) for name, value in request.headers.items()},
                body=body.encode() if isinstance(body, str) else body,
            )
        )
        headers: Any = answer.headers
        return AWSResponse(request.url, answer.status, headers, _Body(answer.body))

    # botocore sends nothing when a handler of this event returns an answer.
    client.meta.events.register("before-send", send)
    return client


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
