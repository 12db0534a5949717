"""Checks the container images of a deployment that is to be repeated: do their names mean the same?

OpenWhisk's chart names images by tags, and a tag can be moved or deleted. Registries are asked
before the first write; a registry that does not answer never stops a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from aws_setup.config.lock_file import Lock
from aws_setup.engine.wording import count_of
from aws_setup.openwhisk.registries import MOST, RegistryAnswer, ask, image_of
from aws_setup.preflight.results import Finding, refuse, warn

SHOWN = 8
"""Names in one line."""


def check(lock: Lock) -> Iterator[Finding]:
    """Yield what a repeated deployment would not get, or would get in other contents."""
    recorded = dict(image.split("@", 1) for image in lock.images if "@" in image)
    answers = ask(sorted(recorded))
    gone = [name for name, answer in answers.items() if answer.gone]
    if gone:
        plural = len(gone) > 1
        yield refuse(
            f"{_count(len(gone))} can no longer be pulled: {_list(gone)}",
            f"{_hosts(gone)} has no such tag any more, and the pods would not start",
            f"set {'images that exist' if plural else 'an image that exists'} in openwhisk_values, "
            f"and remove {'these' if plural else 'this one'} from cluster.images of "
            f"{lock.path.name}",
        )
    yield from _moved(recorded, answers, lock)
    yield from _unknown(recorded, answers, lock)


def _moved(
    recorded: Mapping[str, str], answers: Mapping[str, RegistryAnswer], lock: Lock
) -> Iterator[Finding]:
    moved = [name for name, it in answers.items() if it.digest and it.digest != recorded[name]]
    if not moved:
        return
    old = {name: f"{name}@{recorded[name]}" for name in moved}
    by_digest = ask(list(old.values()))
    lost = [name for name in moved if by_digest[old[name]].gone]
    kept = "their registries still have the recorded digests"
    if lost:
        kept = f"the recorded contents of {_list(lost)} are deleted"
    yield warn(
        f"{_count(len(moved))} of {len(recorded)} changed since then: {_list(moved)}",
        f"the chart names images by tags, and these tags were moved; {kept}",
        "compare results with care, or set openwhisk_values to images that have the recorded "
        f"digests; {lock.path.name} lists them in cluster.images",
    )


def _unknown(
    recorded: Mapping[str, str], answers: Mapping[str, RegistryAnswer], lock: Lock
) -> Iterator[Finding]:
    reasons: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if answer.why:
            reasons.setdefault(answer.why, []).append(name)
    if more := len(recorded) - len(answers):
        reasons[f"only the first {MOST} are asked for"] = [count_of(more, "other")]
    if reasons:
        count = sum(map(len, reasons.values())) - bool(more) + more
        yield warn(
            f"{_count(count)} of {len(recorded)} could not be compared",
            "; ".join(f"{_list(names)}: {why}" for why, names in reasons.items()),
            f"run python configure_eks_cluster.py --from {lock.path.name}, which compares the "
            "digests at its end",
        )


def _count(number: int) -> str:
    return count_of(number, "container image")


def _hosts(names: Iterable[str]) -> str:
    return ", ".join(sorted({image.host for name in names if (image := image_of(name))}))


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
