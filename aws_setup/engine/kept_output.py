"""The output of a command, remote or local, in bounded memory: its beginning and its end."""

from __future__ import annotations

from aws_setup.engine.wording import count_of

OUTPUT_END = 4 * 1024 * 1024
"""Bytes kept of the beginning, and of the end, of each stream of a command."""


class KeptOutput:
    """The beginning and the end of a stream; what is between them is counted and dropped."""

    def __init__(self, end: int = OUTPUT_END) -> None:
        self._end = end
        self._head, self._tail = bytearray(), bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._end - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 2 * self._end:
            self._cut()

    def _cut(self) -> None:
        surplus = max(0, len(self._tail) - self._end)
        del self._tail[:surplus]
        self.dropped += surplus

    def text(self) -> str:
        """Return the stream, with the number of dropped bytes between beginning and end."""
        self._cut()
        head, tail = (part.decode(errors="replace") for part in (self._head, self._tail))
        gap = f"\n… {count_of(self.dropped, 'byte')} dropped …\n" if self.dropped else ""
        return f"{head}{gap}{tail}" if gap else (self._head + self._tail).decode(errors="replace")
