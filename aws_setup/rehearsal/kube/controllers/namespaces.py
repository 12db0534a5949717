"""Namespaces: each has a default service account and the cluster's CA."""

from __future__ import annotations

from aws_setup.rehearsal.kube.authority import certificate_authority
from aws_setup.rehearsal.kube.controllers.desk import ControllerContext, is_being_deleted


def reconcile_namespaces(desk: ControllerContext) -> None:
    """Give every namespace what it starts with."""
    state = desk.state
    for namespace in state.all("namespaces"):
        name = namespace["metadata"]["name"]
        if is_being_deleted(namespace):
            continue
        if ("serviceaccounts", name, "default") not in state.objects:
            state.put("serviceaccounts", {"metadata": {"name": "default", "namespace": name}})
        if ("configmaps", name, "kube-root-ca.crt") not in state.objects:
            meta = {"name": "kube-root-ca.crt", "namespace": name}
            state.put("configmaps", {"metadata": meta, "data": {"ca.crt": certificate_authority().pem}})
