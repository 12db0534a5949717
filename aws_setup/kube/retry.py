"""How long a request is repeated while the API server does not answer it, and what is said then."""

from __future__ import annotations

from collections.abc import Callable

from aws_setup.engine.wait import Clock, format_duration

FIRST = 8
"""Tries in all while the API server has not answered anything in this run: about 25 seconds."""

RESTART = 300.0
"""Seconds for which a server that answered before may restart, or the network be away."""

RETRYABLE = frozenset({0, 429, 500, 502, 503, 504})
"""HTTP statuses that pass by themselves; 0: nobody answered."""

UNAVAILABLE = RETRYABLE - {500}
"""Statuses of a server that is not there, or has too much to do, rather than of one request."""


class Patience:
    """Shared by all requests of a run: a server that has answered before is only restarting."""

    def __init__(self, clock: Clock) -> None:
        """Begin with a server that nobody has heard of."""
        self._clock, self._known = clock, False

    def heard(self) -> None:
        """Note that the server answered."""
        self._known = True

    @property
    def known(self) -> bool:
        """Whether the server has answered in this run."""
        return self._known

    def again(
        self, attempt: int, status: int, *, began: float, note: Callable[[str], None]
    ) -> bool:
        """Pause before the next try and return True; False when there is to be none.

        Args:
            attempt: how many tries there were.
            status: the HTTP status of the last one, 0 when nobody answered.
            began: when the first one was sent, on the clock.
            note: told once for each request what is waited for.
        """
        if status not in RETRYABLE:
            return False
        restarting = self._known and status in UNAVAILABLE
        if restarting and self._clock.now() - began >= RESTART:
            return False
        if not restarting and attempt >= FIRST:
            return False
        if attempt == 1:
            state = f"answers {status}" if status else "does not answer"
            limit = f", up to {format_duration(RESTART)}" if restarting else ""
            note(f"the cluster's API server {state}: waiting for it{limit}")
        self._clock.sleep(min(1.0 * attempt, 5.0))
        return True
