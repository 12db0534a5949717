"""The NameNodes' configuration in a jar: compared with a deployment, and set in a copy."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from aws_setup.errors import Problem, Refused
from aws_setup.namenodes import jar_archive
from aws_setup.software.clients.desired import (
    DRIVER_FILE,
    LAMBDA_FS,
    PASSWORD,
    DeploymentFacts,
    NdbLogin,
    ndb_values,
    site_values,
)
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.software.java_properties import JavaProperties

SITE, NDB = "hdfs-site.xml", "ndb-config.properties"
"""The files that a NameNode reads from the root of its class path: the jar, then the image."""

NO_SITE = HadoopXml.parse(b"<configuration/>", source="none")

SECRET = "***"
"""What is shown instead of a password."""


@dataclass(frozen=True)
class PropertyDifference:
    """A property that does not fit the deployment; `has` is None when it is not set."""

    file: str
    name: str
    has: str | None
    wants: str

    @property
    def text(self) -> str:
        """The difference as text, without a password."""
        if self.name == PASSWORD:
            return f"{self.name} is {'not set' if self.has is None else 'another one'}"
        has = "not set" if self.has is None else self.has
        return f"{self.name} is {has}, not {self.wants}"

    def document(self) -> dict[str, Any]:
        """Return the difference for the JSON document, without a password."""
        secret = self.name == PASSWORD
        has = SECRET if secret and self.has is not None else self.has
        wants = SECRET if secret else self.wants
        return {"file": self.file, "property": self.name, "has": has, "wants": wants}


@dataclass(frozen=True)
class JarConfiguration:
    """The configuration files of a jar, parsed; None where the jar does not have the file.

    `source` is the value of -j, for messages. `elsewhere` are entries with the files' names in
    folders, which are not on the class path.
    """

    source: str
    site: HadoopXml | None
    ndb: JavaProperties | None
    elsewhere: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: BinaryIO, *, source: str) -> JarConfiguration:
        """Return the configuration of an open jar.

        Raises:
            Refused: it is no jar, or one of the files exists twice or cannot be parsed.
        """
        site = jar_archive.read(file, SITE, source=source)
        ndb = jar_archive.read(file, NDB, source=source)
        names = jar_archive.names(file, source=source)
        return cls(
            source,
            None if site is None else HadoopXml.parse(site, source=f"{source}: {SITE}"),
            None if ndb is None else JavaProperties.parse(ndb, source=f"{source}: {NDB}"),
            tuple(name for name in names if name.endswith((f"/{SITE}", f"/{NDB}"))),
        )

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the jar has."""
        return tuple(self.parsed)

    @property
    def missing(self) -> tuple[str, ...]:
        """The files that the jar does not have, so that the image's are used."""
        return tuple(name for name in (SITE, NDB) if name not in self.parsed)

    @property
    def parsed(self) -> Mapping[str, HadoopXml | JavaProperties]:
        """Name -> file, of the files that the jar has."""
        files = {SITE: self.site, NDB: self.ndb}
        return {name: file for name, file in files.items() if file is not None}

    def differences(self, facts: DeploymentFacts) -> list[PropertyDifference]:
        """Return every property of the jar's files that does not fit the deployment.

        Raises:
            Refused: one of the properties is set twice, or in an unsupported form.
        """
        return [
            PropertyDifference(name, key, file.get(key), value)
            for name, file in self.parsed.items()
            for key, value in desired_values(facts)[name].items()
            if file.get(key) != value
        ]

    def check_present(self) -> None:
        """Raise Refused when the jar has no configuration."""
        if self.files:
            return
        raise Refused(
            f"{self.source} cannot be configured",
            f"it contains no {SITE} and no {NDB}{self._elsewhere()}, so the NameNodes use "
            "their image's",
            "leave --configure-jar out, and set namenode_image to an image that has them",
        )

    def _elsewhere(self) -> str:
        if not self.elsewhere:
            return ""
        return f" at its root ({', '.join(self.elsewhere)} is not read)"

    def warnings(self, facts: DeploymentFacts) -> list[Problem]:
        """Return a warning for each file that does not fit the deployment."""
        differences = self.differences(facts)
        return [
            Problem(
                f"{name} in {self.source} does not fit this deployment",
                "; ".join(d.text for d in differences if d.file == name),
                "add --configure-jar, which uploads a copy with these properties set",
            )
            for name in self.files
            if any(d.file == name for d in differences)
        ]


def desired_values(facts: DeploymentFacts) -> Mapping[str, Mapping[str, str]]:
    """Return file -> property -> value of what a deployment decides, as far as it is known."""
    site = dict(site_values(LAMBDA_FS, facts, NO_SITE))
    site.pop(DRIVER_FILE, None)  # the client's path; a NameNode finds the file on its class path
    return {SITE: site, NDB: ndb_values(facts)}


def configured(data: bytes, facts: DeploymentFacts, *, source: str) -> bytes:
    """Return a jar with its files' properties set; the same bytes where nothing differs.

    Raises:
        Refused: the jar has no configuration, is signed, or a file cannot be edited.
    """
    found = JarConfiguration.read(io.BytesIO(data), source=source)
    found.check_present()
    desired = desired_values(facts)
    changed = {difference.file for difference in found.differences(facts)}
    contents = {
        name: file.with_values(desired[name])
        for name, file in found.parsed.items()
        if name in changed
    }
    return jar_archive.replace(data, contents, source=source) if contents else data


def required(files: Sequence[str], facts: DeploymentFacts) -> str:
    """Return what the image's files must say, as text without a password.

    Properties whose values are not among the facts are named only: the λFS client has them.
    """
    known, unknown = [], []
    desired = desired_values(facts)
    for name in files:
        for key in desired_values(_ALL_KNOWN)[name]:
            if key in desired[name] and key != PASSWORD:
                known.append(f"{key}={desired[name][key]}")
            else:
                unknown.append(key)
    parts = [", ".join(known)] if known else []
    if unknown:
        parts.append(f"and, as on the λFS client, {', '.join(unknown)}")
    return " ".join(parts)


_ALL_KNOWN = DeploymentFacts("-", 1, ("-",), "-", NdbLogin("-", "-", "-"))
"""Facts of which each decides some properties."""
