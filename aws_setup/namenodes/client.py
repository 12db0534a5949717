"""OpenWhisk's REST API, as far as the NameNode actions need it; no `wsk` binary."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote

from aws_setup.engine.deadline import within
from aws_setup.engine.retry import REQUEST, Attempts, retry_after
from aws_setup.engine.wait import Clock, format_duration
from aws_setup.errors import Place, SetupError, address_hint
from aws_setup.namenodes.action import Body, CurrentAction, parse
from aws_setup.namenodes.http import HttpConnection, HttpResponse, TransientError
from aws_setup.namenodes.ping import ping_body

T = TypeVar("T")

PAGE = 200
"""Entries of one page of a listing; OpenWhisk's maximum."""

MOST_PAGES = 500
"""Pages of a listing that are read: 100,000 entries."""

FIRST_SECONDS = 30.0
"""Seconds that the first request is retried while the host does not accept connections."""

GATEWAY = frozenset({502, 503, 504})
"""Statuses that nginx returns while the controller starts or is overloaded."""


class StatusError(SetupError):
    """OpenWhisk rejected a request permanently; `status` is its HTTP status."""

    def __init__(self, what: str, response: HttpResponse, hint: str = "") -> None:
        super().__init__(what, response.reason, hint)
        self.status = response.status


REDIRECTED = "use the address that it redirects to as API host, with its scheme"

HINTS = {
    301: REDIRECTED,
    302: REDIRECTED,
    308: REDIRECTED,
    400: "correct the option that it names",
    401: "set the right key with --auth or WHISK_AUTH; configure_eks_cluster.py has it in a file",
    403: "use a key that has this permission",
    404: "check that the address is OpenWhisk's API host",
    409: "inspect it with --list; --sync creates missing actions and updates the ones that differ",
    413: "use a smaller jar: OpenWhisk or its nginx rejects this one as too large",
}
"""HTTP status -> the fix."""

PAUSED_HINT = (
    "if the deployment is paused, as after its deadline, run "
    "`python create_aws_infrastructure.py resume`"
)
"""A paused deployment keeps its load balancer, which has no node behind it and answers nobody."""
BUSY_HINT = (
    f"{PAUSED_HINT}; else check that OpenWhisk's controller runs (kubectl get pods), then run the "
    "same command again"
)
UNREACHABLE_HINT = (
    f"check address, port and network; {PAUSED_HINT}; {address_hint(Place.OPENWHISK)}; --tunnel "
    "reaches internal load balancers"
)


def _hint(error: TransientError) -> str:
    """Return the fix of a failure that lasted."""
    if error.upload_seconds:
        return _SLOW_HINT.format(seconds=_enough(error.upload_seconds))
    return UNREACHABLE_HINT if error.unreachable else BUSY_HINT


_SLOW_HINT = (
    "this computer's connection is too slow for several uploads at a time: run it again with "
    "--jobs 1 --timeout {seconds}"
)


def _enough(seconds: float) -> int:
    """Return a --timeout for a body that takes some seconds: twice as many, in half hours."""
    return 1800 * max(1, math.ceil(2 * seconds / 1800))


@dataclass(frozen=True)
class Client:
    """The API of one host; a request is retried while its failure is transient.

    `deadline` and `unreachable` are seconds from the first attempt; `unreachable` applies while
    the host accepts no connection, None means the deadline. `note` receives the reasons of retries,
    each once.
    """

    connection: HttpConnection
    clock: Clock
    deadline: float
    unreachable: float | None = None
    note: Callable[[str], None] = lambda _: None

    def with_note(self, note: Callable[[str], None]) -> Client:
        """Return the same client with another listener for retries."""
        return replace(self, note=note)

    def fail_early(self) -> Client:
        """Return the same client for the first request: it gives up early on a wrong address."""
        return replace(self, unreachable=FIRST_SECONDS)

    def retry(self, what: str, attempt: Callable[[TransientError | None], T]) -> T:
        """Call `attempt` until it ends with something other than TransientError.

        Args:
            what: the name of the operation, for the message.
            attempt: does the work; its argument is the failure of the previous attempt.

        Raises:
            SetupError: the deadline would pass before the next attempt.
        """
        with within(self.deadline, clock=self.clock):
            return self._attempts(what, attempt)

    def _attempts(self, what: str, attempt: Callable[[TransientError | None], T]) -> T:
        attempts, last, noted = Attempts(self.clock), None, set[str]()
        while True:
            try:
                return attempt(last)
            except TransientError as error:
                last = error
            seconds = self._seconds(last)
            if not attempts.again(replace(REQUEST, deadline=seconds), after=last.after):
                raise SetupError(
                    f"{what}: no success within {format_duration(seconds)}",
                    str(last),
                    _hint(last),
                ) from last
            # Two that take turns, as of a stopped OpenWhisk, would be a line for each attempt.
            if str(last) not in noted:
                noted.add(str(last))
                self.note(f"retrying: {last}")

    def _seconds(self, error: TransientError) -> float:
        """Return for how many seconds the operation is retried after this error."""
        if error.unreachable and self.unreachable is not None:
            return min(self.deadline, self.unreachable)
        return self.deadline

    def info(self) -> dict[str, Any] | None:
        """Return the limits and kinds that `GET /` reports; None when it does not."""
        response = self._get("read limits and kinds", "/", signed=False)
        if response.status == 200 and isinstance(response.document, dict):
            return response.document if "limits" in response.document else None
        return None

    def listing(self, collection: str = "actions") -> list[dict[str, Any]]:
        """Return every entry of a collection of the key's namespace, page by page.

        Raises:
            SetupError: a page is not a list of entries, or repeats earlier entries.
        """
        found: dict[str, dict[str, Any]] = {}
        what = f"OpenWhisk does not list its {collection}"
        for page in range(MOST_PAGES):
            path = f"{self._base}/{collection}?limit={PAGE}&skip={page * PAGE}"
            response = self._get(f"list the {collection}", path)
            if response.status != 200 or not isinstance(response.document, list):
                raise _error(what, response)
            if not all(isinstance(entry, dict) for entry in response.document):
                raise SetupError(what, "a page has entries that are no objects", HINTS[404])
            # A package's action has its package's name in `namespace`.
            named = {f"{e.get('namespace')}/{e.get('name')}": e for e in response.document}
            if response.document and named.keys() <= found.keys():
                raise SetupError(what, f"page {page + 1} repeats earlier entries", HINTS[404])
            found |= named
            if len(response.document) < PAGE:
                return list(found.values())
        raise SetupError(what, f"it has more than {MOST_PAGES} pages", HINTS[404])

    def namespace(self) -> str:
        """Return the namespace of the key."""
        path = f"/api/{self.connection.endpoint.api_version}/namespaces"
        response = self._get("read the namespace", path)
        names = response.document if isinstance(response.document, list) else []
        if response.status != 200 or not names:
            raise _error("OpenWhisk does not return the namespace of the key", response)
        return str(names[0])

    def action(self, name: str) -> CurrentAction | None:
        """Return an action without its code; None when it does not exist."""
        response = self._get(f"read {name}", f"{self._path(name)}?code=false")
        if response.status == 404:
            return None
        if response.status != 200 or not isinstance(response.document, dict):
            raise _error(f"OpenWhisk does not return {name}", response)
        return parse(response.document)

    def put(
        self, name: str, body: Body, *, overwrite: bool, sent: Callable[[int], None]
    ) -> str | None:
        """Send one PUT, once; return the action's version, None when the response omits it.

        Raises:
            TransientError: it can be sent again.
            StatusError: OpenWhisk rejected it permanently.
        """
        path = f"{self._path(name)}?overwrite={str(overwrite).lower()}"
        response = self.connection.send("PUT", path, body=body, sent=sent)
        _raise_transient(response)
        if response.status != 200:
            raise _error(f"OpenWhisk rejected {name}", response)
        known = isinstance(response.document, dict)
        return str(response.document.get("version")) if known else None

    def delete(self, name: str) -> None:
        """Delete an action; already gone is fine."""

        def attempt(_: TransientError | None) -> HttpResponse:
            response = self.connection.send("DELETE", self._path(name))
            _raise_transient(response)
            return response

        response = self.retry(f"delete {name}", attempt)
        if response.status not in (200, 404):
            raise _error(f"OpenWhisk did not delete {name}", response)

    def activate(self, name: str) -> HttpResponse:
        """Ping a NameNode and wait for its activation as long as OpenWhisk does (60 s).

        OpenWhisk returns 502 for a failed activation too, so only a 502 without one is retried.
        """

        def attempt(_: TransientError | None) -> HttpResponse:
            response = self.connection.send(
                "POST",
                f"{self._path(name)}?blocking=true&result=false",
                body=ping_body(),
            )
            if not (isinstance(response.document, dict) and "activationId" in response.document):
                _raise_transient(response)
            return response

        response = self.retry(f"invoke {name}", attempt)
        if response.status not in (200, 202, 502) or not isinstance(response.document, dict):
            raise _error(f"OpenWhisk did not invoke {name}", response)
        return response

    def activation(self, activation_id: str) -> dict[str, Any] | None:
        """Return an activation's record; None while OpenWhisk has none yet."""
        path = f"{self._base}/activations/{quote(activation_id, safe='')}"
        response = self._get(f"read activation {activation_id}", path)
        if response.status == 404:
            return None
        if response.status != 200 or not isinstance(response.document, dict):
            raise _error(f"OpenWhisk does not return activation {activation_id}", response)
        return response.document

    @property
    def _base(self) -> str:
        return f"/api/{self.connection.endpoint.api_version}/namespaces/_"

    def _path(self, name: str) -> str:
        return f"{self._base}/actions/{quote(name, safe='')}"

    def _get(self, what: str, path: str, *, signed: bool = True) -> HttpResponse:
        def attempt(_: TransientError | None) -> HttpResponse:
            response = self.connection.send("GET", path, signed=signed)
            _raise_transient(response)
            return response

        return self.retry(what, attempt)


def _raise_transient(response: HttpResponse) -> None:
    """Raise TransientError for a response after which the request can be sent again."""
    after = retry_after(response.headers)
    if response.status == 429 or response.status in GATEWAY:
        raise TransientError(response.reason, after=after)
    if response.status == 409 and "concurrent" in response.reason.lower():
        raise TransientError(response.reason)


def _error(what: str, response: HttpResponse) -> StatusError:
    return StatusError(
        what, response, HINTS.get(response.status, "run it again with -v for details")
    )
