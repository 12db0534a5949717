"""Whether `--initial` may be used: the evidence on the machines, and the decision, which is pure.

Each machine of a cluster carries a marker. The manager's is written before the first start
(`begun`) and says `complete` once every data node was seen started; before that the cluster never
held data. A data node's marker is written just before its own first start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from aws_setup.errors import Problem, SetupError
from aws_setup.software.ndb.config_files import MANAGER_DATA, NODE_DATA

MARKER = "lambda-fs-initialised"
MANAGER_MARKER = f"{MANAGER_DATA}/{MARKER}"
NODE_MARKER = f"{NODE_DATA}/{MARKER}"


class InitStage(StrEnum):
    """How far a cluster came in its first start, as its manager's marker says."""

    NEW = "new"
    BEGUN = "begun"
    COMPLETE = "complete"


@dataclass(frozen=True)
class InitMarker:
    """A marker's content: the cluster's own id, the machine it was written on, and the stage.

    A marker made by hand is empty: it says `complete`, for any cluster and any machine.
    """

    cluster: str = ""
    machine: str = ""
    stage: InitStage = InitStage.COMPLETE

    def text(self) -> str:
        """Return the file's text."""
        document = {"cluster": self.cluster, "machine": self.machine, "stage": self.stage.value}
        return json.dumps(document) + "\n"


def read_marker(text: str | None) -> InitMarker | None:
    """Return a marker from its file's text; None when there is no file.

    Raises:
        SetupError: the file is there and cannot be read as a marker.
    """
    if text is None:
        return None
    if not text.strip():
        return InitMarker()
    try:
        document = json.loads(text)
        return InitMarker(document["cluster"], document["machine"], InitStage(document["stage"]))
    except (ValueError, KeyError, TypeError):
        raise SetupError(
            f"an NDB machine's marker {MARKER} is damaged",
            f"it reads {text[:60]!r}, so nobody can say whether the cluster holds data",
            f"if it holds data, empty the file with `sudo truncate -s 0 …/{MARKER}`",
        ) from None


class DataFiles(StrEnum):
    """What a data node's disk holds: nothing, files as old as its image, or files of its own."""

    NONE = "none"
    IMAGE = "image"
    OWN = "own"


@dataclass(frozen=True)
class NodeEvidence:
    """What a data node's machine shows: marker, files, and whether ndbmtd runs."""

    machine: str
    name: str
    marker: InitMarker | None
    files: DataFiles
    running: bool


def stage_of(manager: InitMarker | None, nodes: Mapping[int, NodeEvidence]) -> InitStage:
    """Return how far the cluster came; a lost manager marker is made up for by the data nodes'."""
    if manager:
        return manager.stage
    return InitStage.COMPLETE if any(node.marker for node in nodes.values()) else InitStage.NEW


def initial_nodes(manager: InitMarker | None, nodes: Mapping[int, NodeEvidence]) -> frozenset[int]:
    """Return the ids of the data nodes whose next start must be with --initial.

    Raises:
        SetupError: it cannot be told for certain that nothing would be lost.
    """
    stage = stage_of(manager, nodes)
    doubts = [doubt for node in nodes.values() for doubt in _doubts(stage, manager, node)]
    if doubts:
        error = SetupError(doubts[0].what, doubts[0].why, doubts[0].hint)
        error.problems = tuple(doubts)
        raise error
    if stage is InitStage.COMPLETE:
        return frozenset()
    return frozenset(id for id, node in nodes.items() if not _initialised(node))


def _initialised(node: NodeEvidence) -> bool:
    """Tell whether the first start took place: marked, and files written or the process up."""
    return node.marker is not None and (node.files is DataFiles.OWN or node.running)


def _doubts(stage: InitStage, manager: InitMarker | None, node: NodeEvidence) -> list[Problem]:
    if node.marker:
        return _foreign(manager, node)
    if stage is InitStage.COMPLETE:
        return [
            Problem(
                f"{node.name} has never been part of this NDB cluster, which holds data",
                "it replaces another machine, and only `ndbmtd --initial` lets it copy its peer",
                "while its peer runs: start it once by hand with `sudo /usr/local/bin/ndbmtd "
                f"--initial`, then `sudo touch {NODE_MARKER}`, and run this again",
            )
        ]
    if node.files is DataFiles.OWN or node.running:
        return [
            Problem(
                f"{node.name} holds NDB data that this setup did not make",
                "starting the cluster anew with --initial would destroy it",
                f"to keep it: `sudo touch {NODE_MARKER}` on every data node and {MANAGER_MARKER} "
                f"on the manager; to lose it: stop ndbmtd and remove {NODE_DATA}/ndb_*_fs",
            )
        ]
    return []


def _foreign(manager: InitMarker | None, node: NodeEvidence) -> list[Problem]:
    marker = node.marker or InitMarker()
    mine = marker.machine in {"", node.machine}
    same = not manager or not manager.cluster or marker.cluster in {"", manager.cluster}
    if mine and same:
        return []
    what = "another machine" if not mine else "another NDB cluster"
    return [
        Problem(
            f"{node.name} carries the marker of {what}",
            "its image was made from a machine that held data, or its disk was moved here",
            f"if that data may go, remove {NODE_MARKER} and {NODE_DATA}/ndb_*_fs on it; "
            f"if not, `sudo truncate -s 0 {NODE_MARKER}`",
        )
    ]
