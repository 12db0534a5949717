"""OpenWhisk's credentials on this computer: API host, key, certificate, in the format of `wsk`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.config import Config
from aws_setup.config.paths import credentials_path, expanded
from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import read_bytes, read_text
from aws_setup.engine.local_files import delete_file
from aws_setup.engine.private_files import keep_copy, write_private
from aws_setup.engine.step import Drift, Found
from aws_setup.engine.temporary_files import HIDDEN, delete_abandoned
from aws_setup.errors import Refused, SetupError
from aws_setup.openwhisk.secrets import read_secrets, require_secrets

FINGERPRINT = "CERTIFICATE_SHA256"
"""Key of this project in the file; `wsk` ignores keys that it does not know."""

INTERNAL = "INTERNAL_APIHOST"
"""Key of this project: the API host as NameNodes and λFS clients reach it within the VPC."""

KEYS = ("APIHOST", "AUTH", "APIVERSION", "CERT", "KEY")
"""Keys that `wsk` reads from its file; NAMESPACE is ignored."""


@dataclass(frozen=True)
class OpenWhiskCredentials:
    """How to reach the OpenWhisk of a deployment.

    `fingerprint` is the SHA-256 of its nginx's certificate in hex, '' when it serves plain http.
    `internal` is the API host of the internal load balancer, '' where only `apihost` is known.
    """

    apihost: str
    auth: str = field(repr=False)
    fingerprint: str = ""
    internal: str = ""

    @property
    def inside(self) -> str:
        """The API host for what is in the VPC."""
        return self.internal or self.apihost


@dataclass(frozen=True)
class WskProperty:
    """A value and where it was read."""

    value: str
    source: str


@dataclass(frozen=True)
class CredentialsFile(Step):
    """The file with API host and key that whisk_helper.py and `wsk` read."""

    name: str = "hand-over file"
    needs: tuple[str, ...] = ("openwhisk address", "openwhisk api", "openwhisk keys")
    part: str = "openwhisk"
    local: bool = True

    def find(self, ctx: Context) -> Found | None:
        """Return the file, compared with the cluster's Secret and the API's address."""
        if ctx.config.write_wskprops:
            delete_abandoned(Path.home(), HIDDEN)
        path = str(credentials_path(ctx.config))
        if ctx.owned_only:
            # Whatever it contains: it may be damaged, and still have the key.
            return Found(path, "written") if os.path.lexists(path) else None
        current = read_credentials(ctx.config)
        if current is None:
            return None
        if "openwhisk api" not in ctx.found:
            return Found(path, "written")
        # Lost keys are drift of the step that has them, and then this file is compared after it.
        if read_secrets(ctx) is None or current != self._credentials(ctx):
            drift = (Drift("API host, key or certificate", "outdated", "current"),)
            return Found(path, "written", {}, drift)
        return Found(path, "written", {}, self._home_drift(ctx))

    def _home_drift(self, ctx: Context) -> tuple[Drift, ...]:
        """Compare ~/.wskprops with the file, where write_wskprops is set."""
        home_file = Path.home() / ".wskprops"
        if not ctx.config.write_wskprops:
            return ()
        desired = read_file(credentials_path(ctx.config)).decode("utf-8")
        if _content_of(home_file) == desired.encode():
            return ()
        return (Drift("~/.wskprops", "different", "this deployment's"),)

    def _credentials(self, ctx: Context) -> OpenWhiskCredentials:
        keys = require_secrets(ctx)
        api = ctx.of("openwhisk api")
        return OpenWhiskCredentials(
            api.id,
            keys.guest,
            str(api.facts.get("sha256", "")),
            str(api.facts.get("internal_api_host", "")),
        )

    def create(self, ctx: Context) -> Found:
        """Write the file; write ~/.wskprops only when write_wskprops is set."""
        former = _content_of(credentials_path(ctx.config))
        path = write_credentials(ctx.config, self._credentials(ctx))
        if ctx.config.write_wskprops:
            home_file = Path.home() / ".wskprops"
            content, desired = _content_of(home_file), read_file(path)
            if content and content not in (former, desired):
                # What the last run wrote is no loss; all else is the user's.
                kept = keep_copy(home_file.with_name(".wskprops.before-lambda-fs"), content)
                ctx.note(f"backed up {home_file} to {kept}")
            write_private(home_file, desired)
        return Found(str(path), "written")

    def delete(self, ctx: Context, found: Found) -> None:
        """Delete the file; ~/.wskprops belongs to the user and stays."""
        delete_file(credentials_path(ctx.config))


def _content_of(path: Path) -> bytes:
    """Return what a file contains, in any encoding; nothing where there is none."""
    hint = "make it a file that you may read, or set write_wskprops: False"
    return read_bytes(path, what="wsk's file", hint=hint) if path.exists() else b""


def write_credentials(config: Config, credentials: OpenWhiskCredentials) -> Path:
    """Write the file, readable for its owner only, and return its path."""
    path = credentials_path(config)
    lines = [
        f"# The OpenWhisk of {config.deployment_name}, for wsk: WSK_CONFIG_FILE={path.name}",
        f"APIHOST={credentials.apihost}",
        f"AUTH={credentials.auth}",
        "APIVERSION=v1",
        f"{FINGERPRINT}={credentials.fingerprint}",
        f"{INTERNAL}={credentials.internal}",
    ]
    write_private(path, "\n".join(lines) + "\n")
    return path


def read_credentials(config: Config) -> OpenWhiskCredentials | None:
    """Return the file's contents; None when there is no file, or no API host in it."""
    path = credentials_path(config)
    if not path.is_file():
        return None
    hint = "remove the file, and run python configure_eks_cluster.py: it writes it again"
    found = parse(read_text(path, what="the file of OpenWhisk's credentials", hint=hint))
    if not found.get("APIHOST"):
        return None
    return OpenWhiskCredentials(
        found["APIHOST"],
        found.get("AUTH", ""),
        found.get(FINGERPRINT, ""),
        found.get(INTERNAL, ""),
    )


def properties_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return the file that `wsk` would read: WSK_CONFIG_FILE overrides ~/.wskprops."""
    path = environ.get("WSK_CONFIG_FILE")
    return expanded(path) if path else home / ".wskprops"


def parse(text: str) -> dict[str, str]:
    """Return the keys and values of a properties file as `wsk` reads them.

    A line is KEY=value with one equals sign, in upper case, without `export`, up to a #; `wsk`
    skips every other one, and knows no byte order mark. Source: ReadProps in commands/util.go of
    github.com/apache/openwhisk-cli, and in wskprops.go of apache/openwhisk-client-go.
    """
    parts = [line.partition("#")[0].split("=") for line in text.split("\n")]
    return {part[0].strip(): part[1].strip() for part in parts if len(part) == 2}


def skipped_line(text: str, key: str) -> str:
    """Return what a line that seems to set a key says, and `wsk` skips; '' without one."""
    for number, line in enumerate(text.split("\n"), start=1):
        name, sign, value = line.partition("#")[0].partition("=")
        plain = name.strip().removeprefix("\ufeff").removeprefix("export ").strip()
        if sign and plain.upper() == key and (name.strip() != key or "=" in value):
            return f"its line {number} is not {key}=value, as wsk reads it"
    return ""


def missing_host(environ: Mapping[str, str], home: Path) -> str:
    """Return why the properties file gives no API host; '' where there is no file."""
    path = properties_file(environ, home)
    try:
        text = read_bytes(path, what="wsk's file", hint="").decode("utf-8", "replace")
    except (OSError, SetupError):
        return ""
    why = skipped_line(text, "APIHOST")
    return f"{path} names no APIHOST{f' ({why})' if why else ''}"


def read(environ: Mapping[str, str], home: Path) -> dict[str, WskProperty]:
    """Return the properties of the environment (WHISK_…), which override those of the file.

    Raises:
        Refused: the file cannot be read.
    """
    path = properties_file(environ, home)
    found: dict[str, WskProperty] = {}
    for key, value in _read_file(path, configured="WSK_CONFIG_FILE" in environ).items():
        if key in KEYS and value:
            found[key] = WskProperty(value, str(path))
    for key in ("APIHOST", "AUTH", "APIVERSION"):
        if value := environ.get(f"WHISK_{key}", ""):
            found[key] = WskProperty(value, f"the environment variable WHISK_{key}")
    return found


def _read_file(path: Path, *, configured: bool) -> dict[str, str]:
    hint = "make the file readable, or remove it"
    if configured:
        hint = "correct WSK_CONFIG_FILE, or unset it"
    try:
        data = read_bytes(path, what="wsk's file", hint=hint, kind=Refused)
        return parse(data.decode("utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise Refused(f"wsk's file {path} cannot be read", str(error), hint) from error
