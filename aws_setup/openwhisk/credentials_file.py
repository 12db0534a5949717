"""The deployment's own file about its OpenWhisk: API host, key, certificate; `wsk` reads it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.config import Config
from aws_setup.config.paths import credentials_path
from aws_setup.engine.receipt import write_private
from aws_setup.errors import Refused

FINGERPRINT = "CERTIFICATE_SHA256"
"""Our own key in the file; `wsk` passes over keys that it does not know."""


@dataclass(frozen=True)
class OpenWhiskCredentials:
    """How to reach the OpenWhisk of a deployment.

    `fingerprint` is the SHA-256 of its nginx's certificate in hex, '' when it speaks plain http.
    """

    apihost: str
    auth: str = field(repr=False)
    fingerprint: str = ""


def write_credentials(config: Config, access: OpenWhiskCredentials) -> Path:
    """Write the file, readable for its owner only, and return its path."""
    path = credentials_path(config)
    lines = [
        f"# The OpenWhisk of {config.deployment_name}, for wsk: WSK_CONFIG_FILE={path.name}",
        f"APIHOST={access.apihost}",
        f"AUTH={access.auth}",
        "APIVERSION=v1",
        f"{FINGERPRINT}={access.fingerprint}",
    ]
    write_private(path, "\n".join(lines) + "\n")
    return path


def read_credentials(config: Config) -> OpenWhiskCredentials | None:
    """Return what the file says; None when there is no file, or no API host in it."""
    path = credentials_path(config)
    if not path.is_file():
        return None
    found = parse(path.read_text(encoding="utf-8"))
    if not found.get("APIHOST"):
        return None
    return OpenWhiskCredentials(found["APIHOST"], found.get("AUTH", ""), found.get(FINGERPRINT, ""))


KEYS = ("APIHOST", "AUTH", "APIVERSION", "CERT", "KEY")
"""What `wsk` reads from its file; NAMESPACE is ignored."""


@dataclass(frozen=True)
class WskProperty:
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


def read(environment: Mapping[str, str], home: Path) -> dict[str, WskProperty]:
    """Return the properties from the environment (WHISK_…) and, behind it, from the file.

    Raises:
        Refused: WSK_CONFIG_FILE names a file that cannot be read.
    """
    path = properties_file(environment, home)
    found: dict[str, WskProperty] = {}
    for key, value in _file(path, named="WSK_CONFIG_FILE" in environment).items():
        if key in KEYS and value:
            found[key] = WskProperty(value, str(path))
    for key in ("APIHOST", "AUTH", "APIVERSION"):
        if value := environment.get(f"WHISK_{key}", ""):
            found[key] = WskProperty(value, f"the environment variable WHISK_{key}")
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
