"""The control endpoint's routes for the faults of the emulated Kubernetes API servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.context import Store
from aws_setup.rehearsal.kube.faults import Faults
from aws_setup.rehearsal.kube.hooks import KubeHooks


def _held(cloud: Cloud) -> Faults:
    hooks = cloud.room(Store).hooks
    return hooks.faults if isinstance(hooks, KubeHooks) else Faults()


def _faults(cloud: Cloud, _: Any) -> Any:
    return [one.model_dump() for one in _held(cloud).rules]


def _add(cloud: Cloud, body: Any) -> Any:
    """Put faults in force in every cluster; ValueError when they are none."""
    _held(cloud).add(*(body if isinstance(body, list) else [body]))
    return _faults(cloud, None)


def _clear(cloud: Cloud, _: Any) -> Any:
    _held(cloud).clear()
    return []


ROUTES: dict[tuple[str, str], Callable[[Cloud, Any], Any]] = {
    ("GET", "kube/faults"): _faults,
    ("POST", "kube/faults"): _add,
    ("DELETE", "kube/faults"): _clear,
}
"""Routes below /_rehearsal/, by method and path."""
