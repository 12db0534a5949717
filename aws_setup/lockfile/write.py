"""Writes the parts of the lock file, each at the end of its script, without losing the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aws_setup.config import Config
from aws_setup.config.lock_file import (
    CLUSTER,
    INFRASTRUCTURE,
    NAMENODES,
    PARTS,
    SCHEMA,
    read_lock,
)
from aws_setup.config.paths import lock_path
from aws_setup.engine.private_files import write_private
from aws_setup.errors import Problem, Refused
from aws_setup.lockfile.document import secrets_of, without_private, written_by

HEAD = """\
# What was deployed: to cite, and to repeat with
#   python create_aws_infrastructure.py create --from THIS_FILE
# It holds no account id, no public address and no password. docs/lockfile.md explains it.
"""


def document_with(
    config: Config,
    *,
    region: str,
    part: str,
    contents: Mapping[str, Any],
    configuration: Mapping[str, Any],
    when: str,
) -> dict[str, Any]:
    """Return the deployment's lock file with a new part.

    Args:
        config: the configuration.
        region: the region of the deployment.
        part: one of PARTS.
        contents: what the part says.
        configuration: every key with its value in use; of the third script none is new.
        when: the date and time, as ISO 8601.
    """
    known = _existing(lock_path(config))
    parts = {name: known[name] for name in PARTS if known.get(name)}
    cleaned = without_private(contents, secrets=secrets_of(config))
    # The packages' versions could look like addresses, and hold nothing private.
    parts[part] = written_by(when) | cleaned
    if _other_cluster(parts):
        parts = {name: value for name, value in parts.items() if name == part}
    return {
        "schema": SCHEMA,
        "deployment": config.deployment_name,
        "region": region or known.get("region", ""),
        **{name: parts[name] for name in PARTS if name in parts},
        "configuration": dict(configuration) or known.get("configuration", {}),
    }


def _existing(path: Path) -> dict[str, Any]:
    """Return the present contents; nothing of a file that is missing, damaged or newer."""
    try:
        lock = read_lock(path)
    except Refused:
        return {}
    return {"region": lock.region, "configuration": lock.configuration, **lock.parts}


def _other_cluster(parts: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the cluster was created again since the part of the second script was written."""
    created = [
        parts[name].get("kubernetes", {}).get("created")
        for name in (INFRASTRUCTURE, CLUSTER)
        if name in parts
    ]
    return len(set(filter(None, created))) > 1


def write_lock(config: Config, document: Mapping[str, Any]) -> Problem | None:
    """Write the lock file; returns what went wrong as a warning, as the deployment itself is done.

    The part of the third script alone is not written: without a deployment there is nothing that
    it belongs to.
    """
    if NAMENODES in document and not {INFRASTRUCTURE, CLUSTER} & document.keys():
        return None
    path = lock_path(config)
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)
    try:
        write_private(path, HEAD + text)
    except OSError as error:
        return Problem(
            "the lock file could not be written",
            f"{path}: {error.strerror or error}; the deployment itself is not affected",
            "make the folder writable or free space, and run the same command again",
        )
    return None
