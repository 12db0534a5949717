"""OpenWhisk's REST API, as far as the NameNode actions need it; no `wsk` binary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from aws_setup.errors import SetupError
from aws_setup.namenodes.action import Body, CurrentAction, parse
from aws_setup.namenodes.http import HttpConnection, HttpResponse
from aws_setup.namenodes.retrying import GATEWAY, Patience, TransientError, retry_after, trying

PAGE = 200
"""Entries of one page of a listing; OpenWhisk gives no more."""

FIRST_SECONDS = 30.0
"""Seconds that the first request keeps trying while nobody answers at all."""


class StatusError(SetupError):
    """OpenWhisk refused a request for good; `status` is its HTTP status."""

    def __init__(self, what: str, answer: HttpResponse, hint: str = "") -> None:
        super().__init__(what, answer.reason, hint)
        self.status = answer.status


HINTS = {
    301: "the API host sends elsewhere: give the address that it names, with its scheme",
    302: "the API host sends elsewhere: give the address that it names, with its scheme",
    308: "the API host sends elsewhere: give the address that it names, with its scheme",
    400: "correct the option that it names",
    401: "give the right key by --auth or WHISK_AUTH; the second script's file holds it",
    403: "the key lacks the right to do this",
    404: "is this OpenWhisk's API host?",
    409: "look at it with --list; --sync makes what is missing and changes what differs",
    413: "the jar is too large for OpenWhisk or for its nginx",
}
"""HTTP status -> what the user can do about it."""


@dataclass(frozen=True)
class Client:
    """The API of one host; every request is repeated while its answer is of the passing kind."""

    wire: HttpConnection
    patience: Patience

    def noting(self, note: Callable[[str], None]) -> Client:
        """Return the same client with another listener for repeated requests."""
        return replace(self, patience=replace(self.patience, note=note))

    def first(self) -> Client:
        """Return the same client for a first look, which gives up early where nobody answers."""
        return replace(self, patience=replace(self.patience, unreachable=FIRST_SECONDS))

    def info(self) -> dict[str, Any] | None:
        """Return what `GET /` says of limits and kinds; None when the host does not tell it."""
        answer = self._look("ask for limits and kinds", "/", signed=False)
        if answer.status == 200 and isinstance(answer.document, dict):
            return answer.document if "limits" in answer.document else None
        return None

    def listing(self, collection: str = "actions") -> list[dict[str, Any]]:
        """Return every entry of a collection of the key's namespace, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            path = f"{self._base}/{collection}?limit={PAGE}&skip={len(found)}"
            answer = self._look(f"list the {collection}", path)
            if answer.status != 200 or not isinstance(answer.document, list):
                raise _refusal(f"OpenWhisk does not list its {collection}", answer)
            found.extend(answer.document)
            if len(answer.document) < PAGE:
                return found

    def action(self, name: str) -> CurrentAction | None:
        """Return an action without its code; None when there is none of this name."""
        answer = self._look(f"look at {name}", f"{self._path(name)}?code=false")
        if answer.status == 404:
            return None
        if answer.status != 200 or not isinstance(answer.document, dict):
            raise _refusal(f"OpenWhisk does not show {name}", answer)
        return parse(answer.document)

    def put(
        self, name: str, body: Body, *, overwrite: bool, sent: Callable[[int], None]
    ) -> str | None:
        """Send one PUT, once; return the action's version, None when the answer hides it.

        Raises:
            TransientError: it may be sent again.
            StatusError: OpenWhisk refused it for good.
        """
        path = f"{self._path(name)}?overwrite={str(overwrite).lower()}"
        answer = self.wire.send("PUT", path, body=body, sent=sent)
        _raise_transient(answer)
        if answer.status != 200:
            raise _refusal(f"OpenWhisk did not take {name}", answer)
        known = isinstance(answer.document, dict)
        return str(answer.document.get("version")) if known else None

    def delete(self, name: str) -> None:
        """Delete an action; already gone is fine."""

        def attempt(_: TransientError | None) -> HttpResponse:
            answer = self.wire.send("DELETE", self._path(name))
            _raise_transient(answer)
            return answer

        answer = trying(f"delete {name}", attempt, self.patience)
        if answer.status not in (200, 404):
            raise _refusal(f"OpenWhisk did not delete {name}", answer)

    def activate(self, name: str) -> HttpResponse:
        """Invoke an action and wait for its activation as long as OpenWhisk does (60 s).

        A failed activation is answered with 502 too, so only a 502 without one is tried again.
        """

        def attempt(_: TransientError | None) -> HttpResponse:
            answer = self.wire.send(
                "POST",
                f"{self._path(name)}?blocking=true&result=false",
                body=Body(b"{}", memoryview(b""), b""),
            )
            if not (isinstance(answer.document, dict) and "activationId" in answer.document):
                _raise_transient(answer)
            return answer

        answer = trying(f"invoke {name}", attempt, self.patience)
        if answer.status not in (200, 202, 502) or not isinstance(answer.document, dict):
            raise _refusal(f"OpenWhisk did not invoke {name}", answer)
        return answer

    def activation(self, activation_id: str) -> dict[str, Any] | None:
        """Return an activation's record; None while there is none yet."""
        path = f"{self._base}/activations/{quote(activation_id, safe='')}"
        answer = self._look(f"look at activation {activation_id}", path)
        if answer.status == 404:
            return None
        if answer.status != 200 or not isinstance(answer.document, dict):
            raise _refusal(f"OpenWhisk does not show activation {activation_id}", answer)
        return answer.document

    @property
    def _base(self) -> str:
        return f"/api/{self.wire.endpoint.api_version}/namespaces/_"

    def _path(self, name: str) -> str:
        return f"{self._base}/actions/{quote(name, safe='')}"

    def _look(self, what: str, path: str, *, signed: bool = True) -> HttpResponse:
        def attempt(_: TransientError | None) -> HttpResponse:
            answer = self.wire.send("GET", path, signed=signed)
            _raise_transient(answer)
            return answer

        return trying(what, attempt, self.patience)


def _raise_transient(answer: HttpResponse) -> None:
    """Raise TransientError for an answer that passes by itself."""
    after = retry_after(answer.headers)
    if answer.status == 429:
        raise TransientError(answer.reason, after=after)
    if answer.status in GATEWAY:
        raise TransientError(answer.reason, after=after)
    if answer.status == 409 and "concurrent" in answer.reason.lower():
        raise TransientError(answer.reason)


def _refusal(what: str, answer: HttpResponse) -> StatusError:
    return StatusError(what, answer, HINTS.get(answer.status, "run it again with -v for details"))
