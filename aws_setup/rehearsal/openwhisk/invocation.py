"""An invocation of an emulated action, and the NameNode that it may start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Invocation:
    """One invocation: the action, the configuration files in its jar, and its arguments."""

    action: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


class StartError(Exception):
    """The NameNode cannot start; the text is its exception, as Java prints it."""


class NoContainerError(Exception):
    """OpenWhisk has no container for the action."""


class OperationError(Exception):
    """An operation of the file system has failed; the text is its exception."""


class NameNode(Protocol):
    """A NameNode that has started."""

    def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Execute an operation of the file system; return its result.

        Raises:
            OperationError: it has failed.
        """

    def connect(self, host: str, ports: Sequence[int]) -> list[str]:
        """Connect back to a client; return the lines of the log."""


class IdleNameNode:
    """A NameNode that connects to nothing, keeps no files, and succeeds in everything."""

    def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Do nothing; return no result."""

    def connect(self, host: str, ports: Sequence[int]) -> list[str]:
        """Connect to nothing; return no lines."""
        return []


NameNodeRuntime = Callable[[Invocation], NameNode]
"""Starts a NameNode; raises StartError or NoContainerError."""
