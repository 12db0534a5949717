"""The files that a run will write on this computer: whether they can be written, before it begins.

Nothing is created: a folder that does not exist yet is judged by the nearest one that does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aws_setup.preflight.results import Finding, refuse


def check(files: Mapping[Path, str]) -> list[Finding]:
    """Refuse each file that cannot be written; `files` maps a path to the fix."""
    findings = []
    for path, hint in files.items():
        why = unwritable(path)
        if why:
            findings.append(refuse(f"cannot write {path}", why, hint))
    return findings


def unwritable(path: Path) -> str:
    """Return why a file cannot be created or replaced, '' when it can."""
    try:
        target = path.resolve()
        if target.is_dir():
            return "it is a folder"
        if target.exists() and not target.is_file():
            return "it is not a regular file"
        folder = target.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            return f"{folder} is not a folder"
    except (OSError, RuntimeError, ValueError) as error:
        # A loop of links, a name that is too long, or a folder that may not be searched.
        return getattr(error, "strerror", None) or str(error)
    # A file is replaced by a rename, which takes the permission to write the folder.
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"you may not write to {folder}"
