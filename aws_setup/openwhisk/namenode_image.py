"""The NameNodes' image and the containers kept warm: a copy of the chart with other runtimes.

OpenWhisk reads the image of each kind from its runtimes manifest, a JSON file inside the chart's
folder that `whisk.runtimes` names (https://github.com/apache/openwhisk/blob/master/docs/actions-new.md).
The manifest's stem cells are containers that each invoker starts in advance. They count in its
memory, and only actions of their kind and memory use them (hasPoolSpaceFor, takePrewarmContainer in
https://github.com/apache/openwhisk/blob/3e6138d/core/invoker/src/main/scala/org/apache/openwhisk/core/containerpool/ContainerPool.scala):
λFS's two of 40000 MB take the place of NameNodes of another size for ever.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_setup.config import bounded_yaml
from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import json_of
from aws_setup.errors import Refused
from aws_setup.openwhisk.chart import Chart, cache, uncached, work_folder
from aws_setup.openwhisk.values import merge

FAMILY = "generic-namenode"
"""The kinds of the NameNodes are generic-namenode:10 and generic-namenode:5."""

REGISTERED = f"{FAMILY}:10"
"""The kind with which whisk_helper.py registers them by default."""

DEFAULT_FILE = "runtimes.json"

HEAP = 7_000
"""MB of the heap of every NameNode: the published image starts its JVM with -Xms7000m -Xmx7000m,
whatever the memory of the action is.
https://github.com/Scusemua/openwhisk-runtime-java/blob/c29ae6f/core/java8/Dockerfile
"""

LEAST_MEMORY = 7_500
"""MB of a container that holds this heap and what a JVM needs beside it: the image's own
__ACTION_MEMORY."""


def ends_in_heap(memory: int | None, image: str | None) -> bool:
    """Say whether a NameNode grows over its memory, and is then killed.

    Kubernetes ends a container that uses more than its limit:
    https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/

    Args:
        memory: MB of the action, which OpenWhisk makes the limit; None where it is not known.
        image: namenode_image; None for the published one, as the heap of others is not known.
    """
    return memory is not None and memory < LEAST_MEMORY and not image


def with_namenode_runtimes(
    chart: Chart, values: Mapping[str, Any], *, image: str | None, memory: int | None
) -> tuple[Chart, dict[str, Any]]:
    """Return the chart and the values with which the NameNodes have this image and stem cells.

    Both are the same where nothing differs, else those of a copy of the chart. Its new file is
    named after its content, so that the values differ when it does.

    Args:
        chart: the chart on this computer.
        values: the values of the release, those of the user included.
        image: the image as in `docker pull`, with or without a tag; None for the chart's.
        memory: the MB of a NameNode, and so of a stem cell; None for the chart's stem cells.

    Raises:
        Refused: the chart has no runtimes of the NameNodes in which the image can be set.
    """
    try:
        text = _manifest(chart.path, values, image=image, memory=memory)
    except Refused:
        if image:
            raise
        text = None  # manifest_checks.py refuses what the chart then renders
    if text is None:
        return chart, dict(values)
    name = f"runtimes-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    copy = cache() / hashlib.sha256(f"{chart.pin} {chart.path} {name}".encode()).hexdigest()[:24]
    if not copy.is_dir():
        _copy(chart.path, copy, name, text)
    return Chart(copy, chart.pin), merge(values, {"whisk": {"runtimes": name}})


def image_fields(image: str) -> dict[str, str]:
    """Return an image as the manifest describes it: registry and folders are the prefix."""
    prefix, _, rest = image.rpartition("/")
    name, _, tag = rest.partition(":")
    fields = {"prefix": prefix} if prefix else {}
    return fields | {"name": name, "tag": tag or "latest"}


def _manifest(
    folder: Path, values: Mapping[str, Any], *, image: str | None, memory: int | None
) -> str | None:
    """Return the manifest with the image and the stem cells, None where it has them already."""
    file = _runtimes_file(folder, values)
    try:
        document = json_of(read_file(folder / file))
        kinds = [
            kind
            for family in document["runtimes"].values()
            for kind in family
            if str(kind.get("kind", "")).partition(":")[0] == FAMILY
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_runtimes(f"its runtimes file {file} cannot be used: {error}") from error
    if not kinds:
        raise _no_runtimes(f"its runtimes file {file} has no kind {FAMILY}")
    before = json.dumps(document, indent=2)
    for kind in kinds:
        if image:
            kind["image"] = image_fields(image)
        if memory and "stemCells" in kind:
            _fit_stem_cells(kind, memory)
    after = json.dumps(document, indent=2)
    return None if after == before else after + "\n"


def _fit_stem_cells(kind: dict[str, Any], memory: int) -> None:
    """Give a kind's stem cells the NameNodes' memory; of other kinds none would ever be used."""
    if kind["kind"] != REGISTERED:
        del kind["stemCells"]
        return
    for cell in kind["stemCells"]:
        cell["memory"] = f"{memory} MB"


def _runtimes_file(folder: Path, values: Mapping[str, Any]) -> str:
    """Return the file's name by the values of the release and the chart's own."""
    try:
        defaults: Any = bounded_yaml.load(read_file(folder / "values.yaml")) or {}
        return str(merge(defaults, values)["whisk"]["runtimes"] or DEFAULT_FILE)
    except (FileNotFoundError, KeyError):
        return DEFAULT_FILE
    except (OSError, bounded_yaml.BadYaml, ValueError, TypeError, AttributeError) as error:
        raise _no_runtimes(f"its values.yaml cannot be used: {error}") from error


def _no_runtimes(why: str) -> Refused:
    return Refused(
        "namenode_image cannot be set in OpenWhisk's chart",
        why,
        "use λFS's chart (the defaults of openwhisk_chart and openwhisk_chart_ref)",
    )


def _copy(source: Path, target: Path, name: str, text: str) -> None:
    """Copy the chart into the cache, completely or not at all, and add the file."""
    work = work_folder(target, ".copy-")
    try:
        shutil.copytree(source, work, dirs_exist_ok=True, symlinks=True)
        (work / name).write_text(text, encoding="utf-8", newline="\n")
        work.rename(target)
    except OSError as error:
        # Another run was faster: it has cached the same copy.
        if not target.is_dir():
            raise uncached(str(error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
