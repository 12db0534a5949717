"""What whisk_helper.py last deployed, kept beside the receipt: prefix, namespace, number.

The clients call the NameNodes by it, so that `create` and `configure` do not undo what
whisk_helper.py has changed. On a computer without it, the client's own file says what they call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aws_setup.aws.local_file import LocalFile
from aws_setup.config import Config
from aws_setup.config.paths import namenodes_path
from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import json_object, whole_number
from aws_setup.engine.private_files import write_private
from aws_setup.software.clients.desired import (
    DEPLOYMENTS_MAX,
    ENDPOINT,
    ENDPOINT_PATH,
    ClientKind,
)
from aws_setup.software.clients.remote_files import ORIGINAL
from aws_setup.software.hadoop_xml import HadoopXml

NAMESPACE, PREFIX = "guest", "namenode"
"""The namespace of the key in the credentials file, and the prefix that is the default."""


@dataclass(frozen=True)
class NameNodeRecord:
    """The NameNode actions: prefix of their names, namespace, number of deployments.

    `api_host` is the URL at which they were created, used where there is no credentials file.
    `pending` is True while a client has not been brought to them.
    """

    prefix: str = PREFIX
    namespace: str = NAMESPACE
    deployments: int = 0
    api_host: str = ""
    pending: bool = False


def read_record(config: Config) -> NameNodeRecord:
    """Return what was last deployed, else what the configuration says."""
    return stored_record(config) or NameNodeRecord(deployments=config.num_namenode_deployments)


def configured_record(
    kind: ClientKind, files: Mapping[str, bytes], *, source: str
) -> NameNodeRecord | None:
    """Return which NameNodes a client calls; None for one whose file is that of its image.

    Args:
        kind: the kind of the client.
        files: its files, and the copies of the original ones: path -> content.
        source: the client's name, for errors.

    Raises:
        Refused: a file cannot be read.
    """
    current, original = files.get(kind.site), files.get(kind.site + ORIGINAL)
    if not kind.serverless or current is None or original in {None, current}:
        return None
    site = HadoopXml.parse(current, source=f"{source}: {kind.site}")
    image = HadoopXml.parse(original or b"", source=f"{source}: {kind.site}{ORIGINAL}")
    number, endpoint = whole_number(site.get(DEPLOYMENTS_MAX) or ""), site.get(ENDPOINT) or ""
    if not number:
        return None
    path = _path(endpoint) if endpoint != image.get(ENDPOINT) else ""
    match = ENDPOINT_PATH.fullmatch(path)
    if match is None:
        return NameNodeRecord(deployments=number)
    return NameNodeRecord(match[2], match[1], number)


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def stored_record(config: Config) -> NameNodeRecord | None:
    """Return what was last deployed from this computer; a damaged file is none."""
    try:
        document: Any = json_object(read_file(namenodes_path(config)))
        return NameNodeRecord(
            str(document["prefix"]),
            str(document["namespace"]),
            int(document["deployments"]),
            str(document["api_host"]),
            document.get("pending") is True,
        )
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return None


def write_record(config: Config, record: NameNodeRecord) -> None:
    """Store what was deployed."""
    write_private(namenodes_path(config), json.dumps(asdict(record), indent=2) + "\n")


@dataclass(frozen=True)
class NameNodeRecordFile(LocalFile):
    """The record on this computer; destroy deletes it with the cluster's OpenWhisk."""

    name: str = "namenode record"

    def path(self, config: Config) -> Path:
        """Return where the file is."""
        return namenodes_path(config)
