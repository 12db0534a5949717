"""Whether `--initial` may be used: the evidence on the machines, and the decision from it.

Each machine of a cluster has a marker file. The manager's is written before the first start
(`begun`) and says `complete` once all data nodes have been started; before that the cluster has
never held data. A data node's marker is written just before its own first start, that of one which
replaces another after it: until then the manager's marker says that it copies its peer's data, and
`--initial` may be repeated, because it has nothing that its peer has not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from aws_setup.engine.decoding import json_object
from aws_setup.errors import Problem, SetupError
from aws_setup.software.ndb.config_files import CONFIG_INI, MANAGER_DATA, NODE_DATA

MARKER = "lambda-fs-initialised"
MANAGER_MARKER = f"{MANAGER_DATA}/{MARKER}"
NODE_MARKER = f"{NODE_DATA}/{MARKER}"


class InitStage(StrEnum):
    """The progress of a cluster's first start, from its manager's marker."""

    NEW = "new"
    BEGUN = "begun"
    COMPLETE = "complete"


@dataclass(frozen=True)
class InitMarker:
    """A marker's content: the cluster's id, the machine it was written on, and the stage.

    An empty marker, created by hand, means `complete` for any cluster and any machine. `copying` in
    the manager's are the machines whose data node has begun to copy its peer's data.
    """

    cluster: str = ""
    machine: str = ""
    stage: InitStage = InitStage.COMPLETE
    copying: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the file's text."""
        document: dict[str, Any] = {
            "cluster": self.cluster,
            "machine": self.machine,
            "stage": self.stage.value,
        }
        if self.copying:
            document["copying"] = list(self.copying)
        return json.dumps(document) + "\n"


def read_marker(text: str | None) -> InitMarker | None:
    """Return a marker from its file's text; None when the file does not exist.

    Raises:
        SetupError: the file exists and is not a marker.
    """
    if text is None:
        return None
    if not text.strip():
        return InitMarker()
    try:
        document = json_object(text)
        return InitMarker(
            str(document["cluster"]),
            str(document["machine"]),
            InitStage(document["stage"]),
            tuple(str(machine) for machine in document.get("copying", ())),
        )
    except (ValueError, KeyError, TypeError):
        raise SetupError(
            f"an NDB machine's marker {MARKER} is damaged",
            f"it contains {text[:60]!r}: whether the cluster holds data is unknown",
            f"empty the file if the cluster holds data: `sudo truncate -s 0 …/{MARKER}`",
        ) from None


class DataFiles(StrEnum):
    """The data files on a data node's disk: none, as old as its image, or written since."""

    NONE = "none"
    IMAGE = "image"
    WRITTEN = "written"


@dataclass(frozen=True)
class NodeEvidence:
    """The evidence on a data node's machine: marker, data files, and whether ndbmtd runs."""

    machine: str
    name: str
    marker: InitMarker | None
    files: DataFiles
    running: bool


def stage_of(manager: InitMarker | None, nodes: Mapping[int, NodeEvidence]) -> InitStage:
    """Return the cluster's stage; the data nodes' markers replace a lost manager marker."""
    if manager:
        return manager.stage
    return InitStage.COMPLETE if any(node.marker for node in nodes.values()) else InitStage.NEW


def initial_nodes(manager: InitMarker | None, nodes: Mapping[int, NodeEvidence]) -> frozenset[int]:
    """Return the ids of the data nodes whose next start must be with --initial.

    Of a cluster that holds data those are the ones that replace another: an initial start of such a
    node copies its peer's data, which must be running.
    https://dev.mysql.com/doc/refman/8.0/en/mysql-cluster-programs-ndbd.html#option_ndbd_initial

    Raises:
        SetupError: it is not certain that no data would be lost.
    """
    stage = stage_of(manager, nodes)
    if stage is InitStage.COMPLETE:
        nodes = {id: _without_copied_marker(node, nodes) for id, node in nodes.items()}
    conflicts = [
        conflict for node in nodes.values() for conflict in _conflicts(stage, manager, node)
    ]
    if conflicts:
        error = SetupError(conflicts[0].what, conflicts[0].why, conflicts[0].hint)
        error.problems = tuple(conflicts)
        raise error
    if stage is InitStage.COMPLETE:
        return frozenset(id for id, node in nodes.items() if node.marker is None)
    return frozenset(id for id, node in nodes.items() if not _initialised(node))


def _without_copied_marker(node: NodeEvidence, nodes: Mapping[int, NodeEvidence]) -> NodeEvidence:
    """Return the evidence without a marker that came with the image of another data node.

    An AMI that was made of a data node has its marker and its data. While that data node has them
    itself, nothing is lost if the machine copies its peer's data.
    """
    if node.marker is None or node.marker.machine in {"", node.machine}:
        return node
    for source in nodes.values():
        has = source.marker
        if has and source.machine == has.machine == node.marker.machine:
            return replace(node, marker=None) if has.cluster == node.marker.cluster else node
    return node


def _initialised(node: NodeEvidence) -> bool:
    """Tell whether the first start happened: a marker, and data files or a running process."""
    return node.marker is not None and _has_data(node)


def _conflicts(stage: InitStage, manager: InitMarker | None, node: NodeEvidence) -> list[Problem]:
    if node.marker:
        return _marker_conflicts(manager, node)
    if stage is InitStage.COMPLETE:
        return _replacement_conflicts(manager, node)
    if _has_data(node):
        return [
            Problem(
                f"{node.name} holds NDB data that this deployment did not create",
                "a first start of the cluster with --initial would destroy it",
                f"run `sudo touch {NODE_MARKER}` on every data node and {MANAGER_MARKER} on the "
                f"manager to keep it; or stop ndbmtd and remove {NODE_DATA}/ndb_*_fs to lose it",
            )
        ]
    return []


def _replacement_conflicts(manager: InitMarker | None, node: NodeEvidence) -> list[Problem]:
    """Return why a data node without a marker may not copy its peer's data."""
    if manager and (node.machine in manager.copying or not _has_data(node)):
        return []
    if manager is None:
        return [
            Problem(
                f"{node.name} has never been part of this NDB cluster, which holds data",
                "the manager was replaced, too, and config.ini with the node ids was lost with it",
                WRITE_AGAIN,
            )
        ]
    return [
        Problem(
            f"{node.name} holds NDB data that this deployment did not create",
            "to copy its peer's data it would start with --initial, which deletes that",
            f"run `sudo touch {NODE_MARKER}` on it if `ndb_mgm -e show` lists it as started; "
            f"else {COPY_AGAIN}",
        )
    ]


COPY_AGAIN = (
    f"stop ndbmtd there and remove {NODE_DATA}/ndb_*_fs; then run the same command again: the data "
    "node copies its peer's data"
)

WRITE_AGAIN = (
    f"write the cluster's config.ini to {CONFIG_INI} on the manager, as the logs of the other data "
    f"nodes show it, `sudo touch {MANAGER_MARKER}` there, and run the same command again"
)


def _has_data(node: NodeEvidence) -> bool:
    return node.files is DataFiles.WRITTEN or node.running


def _marker_conflicts(manager: InitMarker | None, node: NodeEvidence) -> list[Problem]:
    marker = node.marker or InitMarker()
    same_machine = marker.machine in {"", node.machine}
    same_cluster = not manager or not manager.cluster or marker.cluster in {"", manager.cluster}
    if same_machine and same_cluster:
        return []
    what = "another machine" if not same_machine else "another NDB cluster"
    return [
        Problem(
            f"{node.name} has the marker of {what}",
            "its image was created from a machine that held data, or its disk was moved here",
            f"remove {NODE_MARKER} and {NODE_DATA}/ndb_*_fs on it to lose that data; "
            f"or run `sudo truncate -s 0 {NODE_MARKER}` to keep it",
        )
    ]
