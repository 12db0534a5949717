"""The files of the emulated file system: the rows of its table in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.openwhisk.invocation import OperationError

Rows = list[list[str]]
"""What a query prints: the columns of each row."""

ROOT = 1
"""The id of the root, which `hdfs namenode -format` inserts."""


@dataclass(frozen=True)
class Inode:
    """A row: a file or folder."""

    id: int
    parent: int
    name: str


@dataclass(frozen=True)
class Files:
    """The operations of the file system that λFS's BasicTest uses; `query` runs SQL."""

    query: Callable[[str], Rows]

    def execute(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Execute an operation; return its result.

        Raises:
            OperationError: λFS has no such operation here, or it has failed.
        """
        if operation in ("ping", "prewarm"):
            return None
        work = {"getListing": self._listing, "delete": self._delete}
        create = {"create": self._create, "mkdirs": self._create}
        if operation not in work | create:
            raise OperationError(f"java.lang.NullPointerException: there is no {operation}")
        return (work | create)[operation](_names(str(arguments.get("src", ""))))

    def _listing(self, names: Sequence[str]) -> list[str] | None:
        inodes = self._inodes()
        folder = _find(inodes, names)
        if folder is None:
            return None
        return sorted(inode.name for inode in inodes if inode.parent == folder)

    def _create(self, names: Sequence[str]) -> bool:
        """Create a file or folder, with the folders above it; an existing one is replaced."""
        for end in range(1, len(names) + 1):
            inodes = self._inodes()
            parent = _find(inodes, names[: end - 1])
            if _find(inodes, names[:end]) is None:
                self.query(
                    "INSERT INTO hdfs_inodes (id, parent_id, name) SELECT MAX(id) + 1, "
                    f"{parent}, '{names[end - 1]}' FROM hdfs_inodes;"  # nosec B608
                )
        return True

    def _delete(self, names: Sequence[str]) -> bool:
        inodes = self._inodes()
        found = _find(inodes, names)
        if found is None:
            return False
        doomed = [found]
        for parent in doomed:  # it grows while it is read
            doomed += [inode.id for inode in inodes if inode.parent == parent]
        ids = ", ".join(map(str, doomed))
        self.query(f"DELETE FROM hdfs_inodes WHERE id IN ({ids});")  # nosec B608
        return True

    def _inodes(self) -> list[Inode]:
        rows = self.query("SELECT id, parent_id, name FROM hdfs_inodes;")
        return [Inode(int(row[0]), int(row[1]), row[2]) for row in rows]


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _find(inodes: Sequence[Inode], names: Sequence[str]) -> int | None:
    """Return the id of a path; None where it does not exist."""
    found: int | None = ROOT
    for name in names:
        found = next((i.id for i in inodes if (i.parent, i.name) == (found, name)), None)
    return found
