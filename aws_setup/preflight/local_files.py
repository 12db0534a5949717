"""The files that a run will write on this computer: whether they can be written, before it begins.

No file is created: a folder that does not exist yet is judged by the nearest one that does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aws_setup.config import Config
from aws_setup.config.paths import kept_files
from aws_setup.engine.decoding import read_text
from aws_setup.engine.private_files import check_private
from aws_setup.errors import SetupError
from aws_setup.preflight.results import Finding, refuse

HINT = (
    "remove or rename it, or make it a file that you may read and write; or set "
    "infrastructure_json_path to another folder"
)


def check(files: Mapping[Path, str]) -> list[Finding]:
    """Refuse each file that cannot be written; `files` maps a path to the fix."""
    findings = []
    for path, hint in files.items():
        why = unwritable(path)
        if why:
            findings.append(refuse(f"cannot write {path}", why, hint))
    return findings


def check_kept(config: Config) -> list[Finding]:
    """Refuse what stands in the place of a file that the deployment keeps beside its receipt.

    Also of one that another script writes: its run would come to it after half an hour.
    """
    findings = []
    for kept in kept_files(config):
        try:
            check_private(kept.path, replaced=kept.replaced)
            if kept.needed and kept.path.exists():
                read_text(kept.path, what=kept.title, hint=HINT)
        except SetupError as error:
            findings += [refuse(it.what, it.why, it.hint) for it in error.problems]
        except OSError as error:
            what = f"{kept.title} {kept.path} cannot be used"
            findings.append(refuse(what, error.strerror or str(error), HINT))
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
