"""The deployment's own file about its OpenWhisk: API host, key, certificate; `wsk` reads it too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.config import Config
from aws_setup.receipt import receipt_path, write_private
from aws_setup.whisk import wskprops

FINGERPRINT = "CERTIFICATE_SHA256"
"""Our own key in the file; `wsk` passes over keys that it does not know."""


@dataclass(frozen=True)
class Access:
    """How to reach the OpenWhisk of a deployment.

    `fingerprint` is the SHA-256 of its nginx's certificate in hex, '' when it speaks plain http.
    """

    apihost: str
    auth: str = field(repr=False)
    fingerprint: str = ""


def access_path(config: Config) -> Path:
    """Return where the file is: beside the deployment's receipt."""
    return receipt_path(config).with_suffix(".wskprops")


def write_access(config: Config, access: Access) -> Path:
    """Write the file, readable for its owner only, and return its path."""
    path = access_path(config)
    lines = [
        f"# The OpenWhisk of {config.deployment_name}, for wsk: WSK_CONFIG_FILE={path.name}",
        f"APIHOST={access.apihost}",
        f"AUTH={access.auth}",
        "APIVERSION=v1",
        f"{FINGERPRINT}={access.fingerprint}",
    ]
    write_private(path, "\n".join(lines) + "\n")
    return path


def read_access(config: Config) -> Access | None:
    """Return what the file says; None when there is no file, or no API host in it."""
    path = access_path(config)
    if not path.is_file():
        return None
    found = wskprops.parse(path.read_text(encoding="utf-8"))
    if not found.get("APIHOST"):
        return None
    return Access(found["APIHOST"], found.get("AUTH", ""), found.get(FINGERPRINT, ""))
