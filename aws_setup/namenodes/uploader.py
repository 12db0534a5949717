"""One upload: the smallest body that reaches the desired state, and retries that are safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aws_setup.engine.flag import Flag
from aws_setup.errors import Interrupted, SetupError
from aws_setup.namenodes.action import (
    Body,
    CurrentAction,
    DesiredAction,
    action_body,
    differences,
    limits_body,
    next_version,
)
from aws_setup.namenodes.client import Client, StatusError
from aws_setup.namenodes.http import TransientError
from aws_setup.namenodes.jar import Jar

CONCURRENT_CHANGE = "another program changed it meanwhile; the next run sends it again"


class Abort(Flag):
    """Set at the second Ctrl-C: running uploads end after their current piece."""

    def check(self) -> None:
        """Raise Interrupted when set."""
        if self.is_set():
            raise Interrupted


@dataclass
class Upload:
    """The attempts of one PUT; before each retry it reads the current state of the action.

    `current` is the action before the PUT, None when it does not exist. With `limits_only` an
    existing action keeps its code. `note` receives texts, `progress` the bytes sent.
    """

    client: Client
    name: str
    desired: DesiredAction
    jar: Jar | None
    current: CurrentAction | None
    abort: Abort
    limits_only: bool = False
    note: Callable[[str], None] = lambda _: None
    progress: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        self._overwrite = self.current is not None
        self._sent = 0

    def run(self) -> str:
        """Send the action; return its version.

        Raises:
            SetupError: OpenWhisk rejected it, or the retries took longer than the deadline.
            Interrupted: the upload was aborted.
        """
        verb = "update" if self._overwrite else "create"
        return self.client.with_note(self.note).retry(f"{verb} {self.name}", self._attempt)

    def _attempt(self, last: TransientError | None) -> str:
        if last is not None:
            self._discard_progress()
            version = self._version_if_done()
            if version:
                return version
        expected = next_version(self.current)
        try:
            version = self._put(self._body(expected)) or expected
        except StatusError as error:
            version = self._version_if_done() if error.status == 409 else ""
            if not version:
                raise
            return version
        if version != expected:
            self.note(f"{CONCURRENT_CHANGE} (version {version}, not {expected})")
        return version

    def _put(self, body: Body) -> str | None:
        return self.client.put(self.name, body, overwrite=self._overwrite, sent=self._count)

    def _body(self, version: str) -> Body:
        if self.limits_only and self.current is not None:
            return limits_body(self.current, self.desired, version=version)
        if self.jar is None:
            raise SetupError(
                f"{self.name} does not exist any more",
                "another program deleted it meanwhile",
                "create it with --sync, which sends the jar",
            )
        return action_body(self.name, self.desired, self.jar, version=version)

    def _version_if_done(self) -> str:
        """Read the action again; return its version when it has the desired state already.

        An earlier attempt succeeded although its response was lost, or another run of this script
        was faster.
        """
        now = self.client.action(self.name)
        changed = now is not None and (self.current is None or now.version != self.current.version)
        self.current = now
        if now is not None and changed and now.unmodified and not differences(now, self.desired):
            return now.version
        return ""

    def _count(self, size: int) -> None:
        self._sent += size
        self.progress(size)
        self.abort.check()

    def _discard_progress(self) -> None:
        """Take back the bytes of the failed attempt."""
        self.progress(-self._sent)
        self._sent = 0
