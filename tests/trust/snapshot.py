"""The state of the whole world in a form that two runs can be compared by.

What differs between two undisturbed runs is left out or replaced: ids, times, addresses that AWS
draws, generated secrets, and how often helm has written a release. Everything else is compared:
resources with their settings and tags, objects, znodes, files on machines, registered actions.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.environment import Environment
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from tests.trust import unlisted
from tests.trust.aws_state import aws_lines, eks_lines
from tests.trust.kubernetes_state import kubernetes_lines
from tests.trust.masks import content_digest, file_digest, is_strict, line, strictly, without

Snapshot = Counter[str]
"""Each line is one thing with all that is compared of it; the number is how often it exists."""


def take(environment: Environment, folder: Path, *, locks: bool = False) -> Snapshot:
    """Return the state of AWS, Kubernetes, machines, OpenWhisk and the operator's folder.

    With `locks` the run lock is compared, too: what it says of ended runs depends on them, but
    destroy must delete it.
    """
    lines: Snapshot = Counter()
    for text in (
        *(text for text in aws_lines(environment.cloud) if locks or "/lock/N " not in text),
        *eks_lines(environment.cloud),
        *kubernetes_lines(environment.hooks),
        *_machines(environment),
        *_actions(environment),
        *_files(folder),
        *(line(*shown) for shown in unlisted.of_account(environment.cloud)),
        *(line(*shown) for shown in unlisted.secret_values(environment)),
        *(line(*shown) for shown in unlisted.credentials(environment, folder)),
    ):
        lines[text] += 1
    return lines


def take_strictly(environment: Environment, folder: Path) -> Snapshot:
    """Return the state with what the comparison of two ends leaves out and a later run can read.

    That is also what AWS still shows of deleted resources, numbers of versions, all revisions of
    helm's releases, the objects that controllers make, and the content of the operator's files.
    """
    with strictly():
        return take(environment, folder, locks=True)


def take_aws(cloud: RehearsalCloud) -> Snapshot:
    """Return the state of AWS alone."""
    return Counter([*aws_lines(cloud), *eks_lines(cloud)])


def take_cloud(cloud: RehearsalCloud, hooks: EksApiServers) -> Snapshot:
    """Return the state of AWS, without the run lock, and that of Kubernetes."""
    in_aws = (text for text in aws_lines(cloud) if "/lock/N " not in text)
    return Counter([*in_aws, *eks_lines(cloud), *kubernetes_lines(hooks)])


def differences(expected: Snapshot, found: Snapshot, *, most: int = 12) -> str:
    """Return what is missing (-) and what is too much (+); '' when both are equal."""
    missing, extra = sorted((expected - found).elements()), sorted((found - expected).elements())
    lines = [f"- {_near(text, extra)}" for text in missing]
    lines += [f"+ {_near(text, missing)}" for text in extra]
    more = [f"… and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])


def outside(one: Snapshot, other: Snapshot, found: Snapshot) -> str:
    """Return what is missing of that which both have, and what neither has; '' for nothing."""
    least, most = one & other, one | other
    return differences(least, found & least) + differences(most, found | most)


def _near(text: str, others: list[str]) -> str:
    """Return the kind of a line, and the part in which it differs from the most similar other."""
    kind = " ".join(text.split()[:2])
    same = [other for other in others if other.startswith(kind)]
    near = max(same, key=lambda other: len(set(text.split()) & set(other.split())), default="")
    pairs = enumerate(zip(text, near, strict=False))
    shared = next((at for at, (one, other) in pairs if one != other), len(kind))
    return f"{kind} … {text[max(len(kind), shared - 100) : shared + 200]}"


def _machines(environment: Environment) -> Iterator[str]:
    machines = environment.machines
    ensemble = machines.ensemble  # type: ignore[union-attr]
    yield f"znodes {sorted(ensemble.znodes)}"
    for vm in machines.vms.values():  # type: ignore[union-attr]
        shell = vm.machine
        name = _vm_name(environment, vm.id)
        yield f"machine {name} zookeeper {shell.private_ip in ensemble.running}"
        yield from _disk(name, shell.disk.root)


def _vm_name(environment: Environment, instance_id: str) -> str:
    tags = environment.cloud.backend("ec2").tags.get(instance_id, {})
    return str(tags.get("Name", tags.get("lambda-fs:step", "?")))


def _disk(machine: str, root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            shown = path.relative_to(root)
            content = path.read_bytes() if path.is_file() else b""
            if shown.suffix not in (".pid", ".log", ".sock"):
                yield f"file {machine}:{shown} {file_digest(name, content)}"


def _actions(environment: Environment) -> Iterator[str]:
    whisk = environment.openwhisk.whisk
    if not environment.hooks.apis:
        return
    for store in (whisk.store, whisk.system):
        for name, action in store.actions.items():
            shown = without(action, "updated", "activationId")
            yield line(f"action {name} {store.code.get(name, '')[:12]}", shown)


RECORDS = re.compile(
    r"\.(out|err|log|jsonl|html|1|prices)$|\.before\.yaml$|"
    r"infrastructure_json/[^.]*\.(json|lock\.yaml)$"
)
"""Local files that record what runs did: outputs, logs, prices of the day, receipt, versions,
replaced documents."""


def _files(folder: Path) -> Iterator[str]:
    """Yield the names of the operator's files that runs leave: logs and reports are not state."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("machines", "cache")]
        for name in names:
            path = Path(root) / name
            shown = path.relative_to(folder)
            if not RECORDS.search(str(path)):
                yield f"local {shown} {path.stat().st_mode & 0o777:o}"
            if is_strict() and not UNREAD_FILES.search(str(shown)):
                yield f"content {shown} {content_digest(path, folder)}"


UNREAD_FILES = re.compile(r"\.(out|err|log|jsonl|html|1|jar)$|\.kube/cache/")
"""Local files that no later run reads, or that no run changes."""
