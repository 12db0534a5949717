"""The properties of the `wsk` client: its file and its environment variables, read as it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_setup.errors import Refused

KEYS = ("APIHOST", "AUTH", "APIVERSION", "CERT", "KEY")
"""What `wsk` reads from its file; NAMESPACE is ignored."""


@dataclass(frozen=True)
class Property:
    """A value and where it came from."""

    value: str
    source: str


def properties_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return the file that `wsk` would read: WSK_CONFIG_FILE replaces ~/.wskprops."""
    given = environment.get("WSK_CONFIG_FILE")
    return Path(given).expanduser() if given else home / ".wskprops"


def parse(text: str) -> dict[str, str]:
    """Return the keys and values of a properties file; lines that begin with # are comments."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.strip().partition("=")
        if sign and not key.startswith("#"):
            found[key.strip()] = value.strip()
    return found


def read(environment: Mapping[str, str], home: Path) -> dict[str, Property]:
    """Return the properties from the environment (WHISK_…) and, behind it, from the file.

    Raises:
        Refused: WSK_CONFIG_FILE names a file that cannot be read.
    """
    path = properties_file(environment, home)
    found: dict[str, Property] = {}
    for key, value in _file(path, named="WSK_CONFIG_FILE" in environment).items():
        if key in KEYS and value:
            found[key] = Property(value, str(path))
    for key in ("APIHOST", "AUTH", "APIVERSION"):
        if value := environment.get(f"WHISK_{key}", ""):
            found[key] = Property(value, f"the environment variable WHISK_{key}")
    return found


def _file(path: Path, *, named: bool) -> dict[str, str]:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"{path} cannot be read",
            str(error),
            "correct WSK_CONFIG_FILE, or unset it" if named else "make it readable, or remove it",
        ) from error
