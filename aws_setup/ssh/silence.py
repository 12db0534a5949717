"""Whether SSH works on a machine now, and how long it is believed of one that it does not."""

from __future__ import annotations

from aws_setup.ssh.errors import HostKeyError, Unreachable
from aws_setup.ssh.machine import Machine

SILENT_SECONDS = 30.0
"""How long it is believed of a machine that did not answer: while other steps are examined."""


def why_silent(machine: Machine) -> Unreachable | None:
    """Return why SSH does not work on a machine now; None when it does.

    One attempt is made, on a machine whose connection was lost, too: its group may have ended it.

    Raises:
        HostKeyError: its host key has changed, which is no transient failure.
    """
    try:
        machine.connect(wait=False)
    except HostKeyError:
        raise
    except Unreachable as error:
        return error
    return None


class SilentMachines:
    """The machines that did not answer, by instance id; safe for many threads."""

    def __init__(self) -> None:
        self._errors: dict[str, tuple[float, Unreachable]] = {}

    def add(self, instance_id: str, error: Unreachable, *, now: float) -> None:
        """Believe for SILENT_SECONDS that a machine does not answer."""
        self._errors[instance_id] = (now + SILENT_SECONDS, error)

    def check(self, instance_id: str, *, now: float) -> None:
        """Raise the error of a machine of which it is believed; else return."""
        until, error = self._errors.get(instance_id, (0.0, None))
        if error and now < until:
            raise error

    def forget(self) -> None:
        """Believe it of none."""
        self._errors.clear()
