"""Services of type LoadBalancer: a Classic Load Balancer each, made and deleted with a delay."""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers.context import (
    CloudProviderError,
    ControllerContext,
    is_being_deleted,
    template_hash,
)

CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""Finalizer that keeps a Service until its load balancer is gone."""


def reconcile_load_balancers(desk: ControllerContext) -> None:
    """Move load balancers on."""
    for service in desk.state.all("services"):
        wanted = service["spec"].get("type") == "LoadBalancer" and not is_being_deleted(service)
        held = CLEANUP in service["metadata"].get("finalizers", [])
        if wanted and not held:
            _start_creation(desk, service)
        elif wanted:
            _create(desk, service)
        elif held:
            _delete(desk, service)


def _start_creation(desk: ControllerContext, service: KubeObject) -> None:
    meta = service["metadata"]
    finalizers = [*meta.get("finalizers", []), CLEANUP]
    desk.state.put("services", service | {"metadata": meta | {"finalizers": finalizers}})
    message = "Ensuring load balancer"
    desk.state.event(service, reason="EnsuringLoadBalancer", message=message)


def _create(desk: ControllerContext, service: KubeObject) -> None:
    there = service["status"].get("loadBalancer", {}).get("ingress")
    wish = template_hash([service["metadata"].get("annotations"), service["spec"]["ports"]])
    if there and desk.made.get(service["metadata"]["uid"]) == wish:
        return
    if fault := desk.faults.balancer(service["metadata"]["name"]):
        _failed(desk, service, fault)
    elif there or desk.due(service, "balancer made"):
        try:
            hostname = desk.outside.balancer_made(service)
        except CloudProviderError as error:
            _failed(desk, service, f"Error syncing load balancer: {error}")
            desk.retry()
            return
        desk.made[service["metadata"]["uid"]] = wish
        ingress = [{"hostname": hostname}]
        desk.state.set_status("services", service, {"loadBalancer": {"ingress": ingress}})
        message = "Ensured load balancer"
        desk.state.event(service, reason="EnsuredLoadBalancer", message=message)


def _failed(desk: ControllerContext, service: KubeObject, message: str) -> None:
    desk.state.event(service, reason="SyncLoadBalancerFailed", message=message, warning=True)


def _delete(desk: ControllerContext, service: KubeObject) -> None:
    if not desk.due(service, "balancer deleted"):
        return
    try:
        desk.outside.balancer_deleted(service)
    except CloudProviderError as error:
        message = f"Error deleting load balancer: {error}"
        desk.state.event(service, reason="DeleteLoadBalancerFailed", message=message, warning=True)
        desk.retry()
        return
    kept = desk.state.set_status("services", service, {"loadBalancer": {}})
    deletion.remove_finalizer(desk.state, "services", kept, CLEANUP)
