"""--from: the NameNodes of a lock file, as the options that register the same ones again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_setup.config.lock_file import NAMENODES, read_lock
from aws_setup.errors import Refused

if TYPE_CHECKING:
    from aws_setup.namenodes.jar import Jar

OPTIONS: Mapping[str, tuple[str, type]] = {
    "prefix": ("prefix", str),
    "number": ("number", int),
    "kind": ("kind", str),
    "main": ("main_class", str),
    "memory": ("memory_mb", int),
    "concurrency": ("concurrency", int),
}
"""Option -> its key in the lock file, and the type of the value."""


def options_of_lock(
    path: str, options: Mapping[str, Any], defaulted: frozenset[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the options with the values of a lock file, and which of them are still defaults.

    An option of the command line overrides the file.

    Raises:
        Refused: the file cannot be read, or names no NameNodes that can be registered.
    """
    lock = read_lock(Path(path))
    part = lock.parts.get(NAMENODES, {})
    if not part.get("number"):
        raise Refused(
            f"{lock.path.name} has no NameNodes",
            "whisk_helper.py had registered none when it was written",
            "set the options themselves, as in -n 20 --create --memory 20000 --concurrency 4",
        )
    found = dict(options)
    free = {name for name in OPTIONS if name in defaulted}
    if "end" not in defaulted:
        free.discard("number")
    for name in free:
        key, kind = OPTIONS[name]
        found[name] = _value(part.get(key), kind, f"{NAMENODES}.{key} of {lock.path.name}")
    found["jar_sha256"] = _hash(part)
    found["configure_jar"] = bool(options["configure_jar"] or part.get("original_jar_sha256"))
    return found, defaulted - free


def _value(value: Any, kind: type, place: str) -> Any:
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    if isinstance(value, list):
        why = f"the actions of that deployment differ: {', '.join(map(str, value))[:80]}"
        raise Refused(f"{place} has several values", why, "set the option that you want")
    raise Refused(
        f"{place} is no {'number' if kind is int else 'text'}",
        f"it is {str(value)[:40]!r}",
        "name the .lock.yaml file that a deployment has written, unchanged",
    )


def _hash(part: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the jar as it was before --configure-jar, '' if it is not known."""
    value = part.get("original_jar_sha256") or part.get("jar_sha256")
    return value if isinstance(value, str) else ""


def check_jar(jar: Jar, wanted: str) -> None:
    """Refuse another jar than that of the lock file; '' is any.

    Raises:
        Refused: it has another SHA-256.
    """
    has = jar.original_sha256 or jar.sha256
    if wanted and has != wanted:
        raise Refused(
            f"{jar.source} is not the jar of the lock file",
            f"its SHA-256 is {has[:12]}…, and that of the deployment to repeat {wanted[:12]}…",
            "set -j to that jar; to register this one, leave --from out",
        )
