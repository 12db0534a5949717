"""The NameNodes' configuration in a jar: compared with a deployment, and set in a copy.

A NameNode reads `hdfs-site.xml` from its class path, on which the jar comes before the image, and
after it the image's /conf/hdfs-site.xml, which overrides what is not final (ServerlessNameNode's
createNameNode in https://github.com/ds2-lab/LambdaFS, JarLoader in
https://github.com/Scusemua/openwhisk-runtime-java; final parameters:
https://hadoop.apache.org/docs/r3.2.0/api/org/apache/hadoop/conf/Configuration.html).
`ndb-config.properties` is the file of the image that `dfs.storage.driver.configfile` names: it is
opened by its path (HdfsStorageFactory in λFS), so that no jar can have it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from aws_setup.errors import Problem
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

SITE, NDB = "hdfs-site.xml", "ndb-config.properties"
"""The files of a NameNode's configuration; a jar can have the first one, at its root."""

IMAGE_NDB = f"/metadata-dal/{NDB}"
"""Where the published image has the second one (its Dockerfile)."""

NO_SITE = HadoopXml.parse(b"<configuration/>", source="none")

NEW_SITE = HadoopXml.parse(NO_SITE.with_values({DRIVER_FILE: IMAGE_NDB}), source=f"the new {SITE}")
"""The file that a jar without one gets: the image's overrides its only property, if it has it."""


@dataclass(frozen=True)
class PropertyDifference:
    """A property that does not fit the deployment; `has` is None when it is not set.

    `final` tells whether the jar's value is final.
    """

    file: str
    name: str
    has: str | None
    wants: str
    final: bool = False

    @property
    def text(self) -> str:
        """The difference as text."""
        if self.has == self.wants:
            return f"{self.name} is not final, so that the image's {self.file} overrides it"
        has = "not set" if self.has is None else self.has
        return f"{self.name} is {has}, not {self.wants}"

    def document(self) -> dict[str, Any]:
        """Return the difference for the JSON document."""
        return {
            "file": self.file,
            "property": self.name,
            "has": self.has,
            "final": self.final,
            "wants": self.wants,
        }


@dataclass(frozen=True)
class JarConfiguration:
    """The configuration of a jar; `site` is None where it has no hdfs-site.xml at its root.

    `source` is the value of -j, for messages. `unread` are entries with the names of configuration
    files that no NameNode reads: those in folders, and ndb-config.properties.
    """

    source: str
    site: HadoopXml | None
    unread: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: BinaryIO, *, source: str) -> JarConfiguration:
        """Return the configuration of an open jar.

        Raises:
            Refused: it is no jar, or the file exists twice or cannot be parsed.
        """
        site = jar_archive.read(file, SITE, source=source)
        names = jar_archive.names(file, source=source)
        return cls(
            source,
            None if site is None else HadoopXml.parse(site, source=f"{source}: {SITE}"),
            tuple(name for name in names if name == NDB or name.endswith((f"/{SITE}", f"/{NDB}"))),
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """The files that the jar could have and does not, so that the image's are used."""
        return (SITE,) if self.site is None else ()

    def differences(self, facts: DeploymentFacts) -> list[PropertyDifference]:
        """Return every property that does not fit the deployment, or is not final.

        Raises:
            Refused: one of the properties is set twice, or in an unsupported form.
        """
        site = self.site or NO_SITE
        return [
            PropertyDifference(SITE, name, site.get(name), value, site.is_final(name))
            for name, value in desired_values(facts)[SITE].items()
            if site.get(name) != value or not site.is_final(name)
        ]

    def warnings(self, facts: DeploymentFacts) -> list[Problem]:
        """Return a warning when the jar's file does not fit the deployment."""
        differences = self.differences(facts)
        if not differences or self.site is None:
            return []
        return [
            Problem(
                f"{SITE} in {self.source} does not fit this deployment",
                "; ".join(difference.text for difference in differences),
                "add --configure-jar, which uploads a copy with these properties set and final",
            )
        ]


def desired_values(facts: DeploymentFacts) -> Mapping[str, Mapping[str, str]]:
    """Return file -> property -> value of what a deployment decides, as far as it is known."""
    site = dict(site_values(LAMBDA_FS, facts))
    site.pop(DRIVER_FILE, None)  # the client's path; the image has the file in another place
    return {SITE: site, NDB: ndb_values(facts)}


def configured(data: bytes, facts: DeploymentFacts, *, source: str) -> bytes:
    """Return a jar whose hdfs-site.xml fits; the same bytes where nothing differs.

    Its properties of the deployment are final. A jar without the file gets one.

    Raises:
        Refused: the jar is signed, or the file cannot be edited.
    """
    found = JarConfiguration.read(io.BytesIO(data), source=source)
    if not found.differences(facts):
        return data
    site = (found.site or NEW_SITE).with_values(desired_values(facts)[SITE], final=True)
    return jar_archive.with_entries(data, {SITE: site}, source=source)


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
        parts.append(f"the λFS client's values of {', '.join(unknown)}")
    return " and ".join(parts)


_ALL_KNOWN = DeploymentFacts("-", 1, ("-",), "-", NdbLogin("-", "-", "-"))
"""Facts of which each decides some properties."""
