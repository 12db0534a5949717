"""Files on this computer that some steps write, and that destroy deletes."""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.engine.local_files import delete_file
from aws_setup.engine.step import Found


@dataclass(frozen=True)
class LocalFile(Step):
    """A file beside the receipt that other steps write; destroy deletes it, whatever it is."""

    part: str = "software"
    local: bool = True

    @abstractmethod
    def path(self, config: Config) -> Path:
        """Return where the file is."""

    def find(self, ctx: Context) -> Found | None:
        """Return the file, also one that cannot be read; None when there is nothing."""
        path = self.path(ctx.config)
        return Found(str(path)) if os.path.lexists(path) else None

    def create(self, ctx: Context) -> Found:
        """Do nothing: the file is written by those that need it."""
        return Found(str(self.path(ctx.config)))

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the file; raises SetupError when it is still there."""
        delete_file(self.path(ctx.config))
