"""The files that a deployment keeps on this computer: the receipt, and all others beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aws_setup.config.model import Config

FORMAT_STEPS = ("lambda-fs format", "hopsfs format")
"""The steps that format a file system; each has a log of its own."""


@dataclass(frozen=True)
class KeptFile:
    """A file beside the receipt: what texts call it, and its path.

    A `replaced` file is written anew under another name and renamed; others are opened and written.
    A `needed` one is text that a run depends on: one that is damaged ends it.
    """

    title: str
    path: Path
    replaced: bool = True
    needed: bool = False


def expanded(path: Path | str) -> Path:
    """Return a path with `~` replaced; `~NAME` of an unknown user stays, as in a shell."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def absolute(path: Path | str) -> Path:
    """Return a path from the root, without `..`: it is printed, and written into files."""
    found = expanded(path).absolute()
    return found.parent.resolve() / found.name if ".." in found.parts else found


def receipt_path(config: Config) -> Path:
    """Return the path of the receipt: the .json file configured, else a file in that folder."""
    path = Path(config.infrastructure_json_path)
    return path if path.suffix == ".json" else path / f"{config.deployment_name}.json"


def events_path(config: Config) -> Path:
    """Return the path of the event log."""
    return receipt_path(config).with_suffix(".events.jsonl")


def lock_path(config: Config) -> Path:
    """Return the path of what was deployed, a file to cite and to repeat."""
    return receipt_path(config).with_suffix(".lock.yaml")


def debug_log_path(config: Config) -> Path:
    """Return the path of the debug log."""
    return receipt_path(config).with_suffix(".log")


def known_hosts_path(config: Config) -> Path:
    """Return the path of the host keys of the deployment's machines."""
    return receipt_path(config).with_suffix(".known_hosts")


def ssh_config_path(config: Config) -> Path:
    """Return the path of the OpenSSH configuration for logging in to the machines."""
    return receipt_path(config).with_suffix(".ssh_config")


def ndb_password_path(config: Config) -> Path:
    """Return the path of the database password that earlier versions generated and stored."""
    return receipt_path(config).with_suffix(".ndb_password")


def prices_path(config: Config) -> Path:
    """Return the path of AWS's prices of today."""
    return receipt_path(config).with_suffix(".prices")


def namenodes_path(config: Config) -> Path:
    """Return the path of what whisk_helper.py last deployed: prefix, namespace, number."""
    return receipt_path(config).with_suffix(".namenodes.json")


def format_log_path(config: Config, step: str) -> Path:
    """Return the path of what hdfs printed in a formatting step."""
    return receipt_path(config).with_suffix(f".{step.replace(' ', '-')}.log")


def kept_copy_path(config: Config, what: str) -> Path:
    """Return the path of a copy of what a run overwrites, such as `aws-auth`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", what).strip("-.")
    return receipt_path(config).with_suffix(f".{name}.before.yaml")


def tls_pair_path(config: Config) -> Path:
    """Return the path of nginx's certificate and private key, readable for its owner only."""
    return receipt_path(config).with_suffix(".tls.pem")


def credentials_path(config: Config) -> Path:
    """Return the path of OpenWhisk's credentials in wsk's format."""
    return receipt_path(config).with_suffix(".wskprops")


def kept_files(config: Config) -> tuple[KeptFile, ...]:
    """Return every file beside the receipt that a run reads, writes or deletes."""
    return (
        KeptFile("the receipt", receipt_path(config)),
        KeptFile("the event log", events_path(config), replaced=False),
        KeptFile("the lock file", lock_path(config)),
        KeptFile("the debug log", debug_log_path(config), replaced=False),
        KeptFile("the host keys", known_hosts_path(config), replaced=False),
        KeptFile("the OpenSSH configuration", ssh_config_path(config)),
        KeptFile("the stored password", ndb_password_path(config), needed=True),
        KeptFile("the prices", prices_path(config)),
        KeptFile("the record of the NameNodes", namenodes_path(config)),
        KeptFile("the certificate with its key", tls_pair_path(config)),
        KeptFile("OpenWhisk's credentials", credentials_path(config), needed=True),
        *(
            KeptFile(f"the log of {step}", format_log_path(config, step), replaced=False)
            for step in FORMAT_STEPS
        ),
    )
