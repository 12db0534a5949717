"""The jar of a run: as it is, or as a copy whose configuration fits the deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from aws_setup.config.regular_files import open_file, read_file
from aws_setup.engine.temporary_files import temporary_folder, write_temporary
from aws_setup.errors import Problem, SetupError
from aws_setup.namenodes.jar import Jar, read_jar
from aws_setup.namenodes.jar_configuration import (
    JarConfiguration,
    PropertyDifference,
    configured,
)
from aws_setup.software.clients.desired import DeploymentFacts

Facts = Callable[[], DeploymentFacts]
"""Looks up what the configuration in a jar should say."""


@dataclass(frozen=True)
class PreparedJar:
    """A jar to upload, and how the original's configuration differs from the deployment.

    `missing` are the configuration files that neither it nor the original has, so that the image's
    are used; `unread` are its entries with such names that no NameNode reads.
    """

    jar: Jar
    warnings: tuple[Problem, ...] = ()
    differences: tuple[PropertyDifference, ...] = ()
    missing: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def prepare_jar(
    path: Path, *, source: str, main_class: str, facts: Facts, configure: bool
) -> PreparedJar:
    """Return the jar at `path`, checked; with `configure` a copy that fits the deployment.

    Args:
        path: the file.
        source: the value of -j, for messages.
        main_class: the class that it must contain, in Java's notation (a.b.C).
        facts: looks up what the configuration should say.
        configure: whether --configure-jar is set.

    Raises:
        Refused: as `read_jar`; with `configure` also when the jar cannot be configured.
        SetupError: with `configure`, the deployment cannot be looked up.
    """
    jar = read_jar(path, source=source, main_class=main_class)
    if configure:
        return _configured_copy(path, jar, main_class=main_class, facts=facts)
    try:
        with open_file(path) as file:
            found = JarConfiguration.read(file, source=source)
        known = facts() if found.site else None
        differences = tuple(found.differences(known)) if known else ()
        warnings = tuple(found.warnings(known)) if known else ()
    except SetupError as error:
        warning = Problem(
            f"the configuration in {source} was not compared with this deployment",
            f"{error.problems[0].what}: {error.problems[0].why}",
            error.problems[0].hint,
        )
        return PreparedJar(jar, (warning,))
    return PreparedJar(jar, warnings, differences, found.missing, found.unread)


def _configured_copy(path: Path, original: Jar, *, main_class: str, facts: Facts) -> PreparedJar:
    """Return a copy of the jar whose properties fit; the jar itself where they do already."""
    source = original.source
    with open_file(path) as file:
        found = JarConfiguration.read(file, source=source)
    known, data = facts(), read_file(path)
    copy = configured(data, known, source=source)
    differences = tuple(found.differences(known))
    if copy is data:
        return PreparedJar(original, (), differences, (), found.unread)
    with temporary_folder() as folder:
        new = folder / "namenode.jar"
        write_temporary(new, copy)
        jar = read_jar(new, source=f"{source}, configured", main_class=main_class)
    jar = replace(jar, original_sha256=hashlib.sha256(data).hexdigest())
    return PreparedJar(jar, (), differences, (), found.unread)
