"""The host keys that machines print on their consoles, and the wait for those of new machines."""

from __future__ import annotations

from collections.abc import Iterable

from aws_setup.ssh.errors import ConnectStage, Unreachable
from aws_setup.ssh.known_hosts import HostKey, has_key_block, is_being_printed, keys_in_console

CONSOLE_SECONDS = 90.0
"""Seconds to wait for the host keys on a new machine's console before its key is trusted."""


class ConsoleKeys:
    """Host keys by instance id, from the console's output; safe for many threads."""

    def __init__(self) -> None:
        self._new: set[str] = set()
        self._first_looks: dict[str, float] = {}

    def mark_new(self, instance_ids: Iterable[str]) -> None:
        """Note machines that were started just now: their console output may still be empty."""
        self._new.update(instance_ids)

    def of(self, instance_id: str, output: str | None, *, now: float) -> list[HostKey]:
        """Return the host keys on a machine's console; [] without any, or without an output.

        Args:
            instance_id: the machine.
            output: its console output, None where it cannot be read.
            now: seconds of the clock that measures the time since the first look.

        Raises:
            Unreachable: a new machine's console has none yet, or has none that can be read.
        """
        if output is None:
            return []
        keys = keys_in_console(output)
        first = self._first_looks.setdefault(instance_id, now)
        has_time = instance_id in self._new and now - first < CONSOLE_SECONDS
        if not keys and has_time and is_being_printed(output):
            raise Unreachable(
                instance_id,
                ConnectStage.HOST_KEY,
                "its console output shows no host keys yet",
                "run the same command again in a minute",
            )
        if not keys and has_key_block(output):
            raise Unreachable(
                instance_id,
                ConnectStage.HOST_KEY,
                "its console output has a block of host keys, and none of them can be read",
                f"look at it with `aws ec2 get-console-output --instance-id {instance_id}`, and "
                "replace the machine if it is not yours",
                transient=False,
            )
        return keys
