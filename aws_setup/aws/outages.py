"""A network that goes away in the middle of a run, as with another VPN or Wi-Fi: reads wait for it.

botocore's own attempts end within ten seconds where there is no network at all, and a run mostly
waits for clusters and machines, with calls that change nothing.

A network may also let through some services only: a firewall drops what it does not know, a proxy
refuses it. Such a service has never answered; a run goes on without it where it can.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, HTTPClientError
from botocore.exceptions import ProxyConnectionError as NoProxy

from aws_setup.engine.deadline import left
from aws_setup.engine.retry import SERVER_RESTARTING
from aws_setup.errors import Interrupted

log = logging.getLogger(__name__)

PAUSE = 3.0
"""Seconds between two attempts while the network is away."""

SILENT = 5.0
"""Seconds after which it is said that the network is waited for."""

NO_ANSWER = (NoConnection, HTTPClientError)
"""What a call without an answer raises: no network, a firewall, a proxy, a broken connection."""

OPTIONAL = frozenset({"scheduler"})
"""Services of patient clients that runs go on without."""

OPTIONAL_ATTEMPTS = 4
"""Attempts at an optional service that has never answered; nine take four minutes where a firewall
drops their packets."""

READING = ("Describe", "List", "Get", "Head", "Simulate")
"""What the names of operations begin with that change nothing."""


class Outages:
    """Decides about failed attempts of a session's calls; safe for many threads.

    `note` is told of an outage, once; `stopped` says whether the run is being stopped: no failed
    call is repeated then.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.note: Callable[[str], None] = lambda _: None
        self.stopped: Callable[[], bool] = lambda: False
        self._now = now
        self._answered: set[str] = set()
        self._noted = False

    def watch(self, client: Any, *, patient: bool) -> None:
        """Attend to the attempts of a client; only where it is `patient` are reads waited for."""
        events = client.meta.events
        # Behind botocore's own decision, of which the first that is not None applies
        # (botocore/endpoint.py, _needs_retry).
        events.register_last("needs-retry.*", self._pause if patient else self._end)

    def keeps_silent(self, service: str, error: Exception) -> bool:
        """Return whether a call failed because its service has not answered once.

        One that has answered is let through: the network is broken now, and comes back.
        """
        return isinstance(error, NO_ANSWER) and service not in self._answered

    def _end(
        self,
        *,
        operation: Any,
        endpoint: Any,
        caught_exception: Exception | None = None,
        **_: Any,
    ) -> None:
        if caught_exception is None:
            self._answered.add(operation.service_model.service_name)
            return
        if isinstance(caught_exception, NoProxy):
            # Its own text names the proxy alone.
            known: dict[str, Any] = caught_exception.kwargs  # type: ignore[assignment]
            known["endpoint_url"] = endpoint.host
        if self.stopped():
            raise Interrupted

    def _pause(
        self,
        *,
        operation: Any,
        endpoint: Any,
        attempts: int,
        request_dict: dict[str, Any],
        caught_exception: Exception | None = None,
        **_: Any,
    ) -> float | None:
        """Return the seconds until the next attempt; None where botocore alone decides.

        Raises:
            Interrupted: the run is being stopped.
            Exception: that of the attempt, where another would only take time.
        """
        self._end(operation=operation, endpoint=endpoint, caught_exception=caught_exception)
        service = operation.service_model.service_name
        if caught_exception is None:
            self._noted = False
            return None
        # A service that has never answered may not exist in the region.
        if self.keeps_silent(service, caught_exception):
            if service in OPTIONAL and attempts >= OPTIONAL_ATTEMPTS:
                raise caught_exception
            return None
        if not is_outage(caught_exception):
            return None
        if not operation.name.startswith(READING):
            return None
        waited = self._now() - request_dict["context"].setdefault("outage began", self._now())
        most = SERVER_RESTARTING.deadline or 0.0
        if waited > most or left() < PAUSE:
            return None
        if waited > SILENT and not self._noted:
            self._noted = True
            self.note(f"AWS cannot be reached: waiting for the network, up to {most / 60:.0f} min.")
        return PAUSE


def is_write(model: Any) -> bool:
    """Return whether an operation changes something in AWS, apart from the run lock."""
    return model.service_model.service_name != "ssm" and not model.name.startswith(READING)


def is_outage(error: Exception) -> bool:
    """Return whether an attempt found no way to AWS; a server that refuses is there."""
    if not isinstance(error, EndpointConnectionError):
        return isinstance(error, ConnectTimeoutError)
    cause = getattr(error, "kwargs", {}).get("error")
    return not isinstance(getattr(cause, "__cause__", None), ConnectionRefusedError)
