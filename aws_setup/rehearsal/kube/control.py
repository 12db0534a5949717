"""The control endpoint's routes for the faults of the emulated Kubernetes API servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.eks.context import EksStore
from aws_setup.rehearsal.kube.faults import KubernetesFaults
from aws_setup.rehearsal.kube.hooks import EksApiServers


def _kubernetes_faults(cloud: Cloud) -> KubernetesFaults:
    hooks = cloud.room(EksStore).hooks
    return hooks.faults if isinstance(hooks, EksApiServers) else KubernetesFaults()


def _list_faults(cloud: Cloud, _: Any) -> Any:
    return [one.model_dump() for one in _kubernetes_faults(cloud).rules]


def _add_faults(cloud: Cloud, body: Any) -> Any:
    """Put faults in force in every cluster; ValueError when they are none."""
    _kubernetes_faults(cloud).add(*(body if isinstance(body, list) else [body]))
    return _list_faults(cloud, None)


def _clear_faults(cloud: Cloud, _: Any) -> Any:
    _kubernetes_faults(cloud).clear()
    return []


ADMIN_ROUTES: dict[tuple[str, str], Callable[[Cloud, Any], Any]] = {
    ("GET", "kube/faults"): _list_faults,
    ("POST", "kube/faults"): _add_faults,
    ("DELETE", "kube/faults"): _clear_faults,
}
"""Routes below /_rehearsal/, by method and path."""
