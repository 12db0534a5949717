"""Services of type LoadBalancer: a Classic Load Balancer each, created and deleted with a delay."""

from __future__ import annotations

from aws_setup.rehearsal.kubernetes.api import deletion
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject
from aws_setup.rehearsal.kubernetes.controllers.context import (
    SOURCE_RANGES,
    CloudProviderError,
    ControllerContext,
    is_being_deleted,
    template_hash,
)

CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
"""Finalizer that keeps a Service until its load balancer is deleted."""


def reconcile_load_balancers(context: ControllerContext) -> None:
    """Reconcile the load balancers of all Services."""
    for service in context.state.all("services"):
        with context.guard(service):
            desired = service["spec"].get("type") == "LoadBalancer" and not is_being_deleted(
                service
            )
            has_finalizer = CLEANUP in service["metadata"].get("finalizers", [])
            if desired and not has_finalizer:
                _start_creation(context, service)
            elif desired:
                _create(context, service)
            elif has_finalizer:
                _delete(context, service)


def _start_creation(context: ControllerContext, service: KubeObject) -> None:
    meta = service["metadata"]
    finalizers = [*meta.get("finalizers", []), CLEANUP]
    context.state.put("services", service | {"metadata": meta | {"finalizers": finalizers}})
    message = "Ensuring load balancer"
    context.state.event(service, reason="EnsuringLoadBalancer", message=message)


def _create(context: ControllerContext, service: KubeObject) -> None:
    current_ingress = service["status"].get("loadBalancer", {}).get("ingress")
    spec = service["spec"]
    desired_hash = template_hash(
        [service["metadata"].get("annotations"), spec["ports"], spec.get(SOURCE_RANGES)]
    )
    if (
        current_ingress
        and context.applied_load_balancers.get(service["metadata"]["uid"]) == desired_hash
    ):
        return
    if fault := context.faults.balancer(service["metadata"]["name"]):
        _failed(context, service, fault)
    elif current_ingress or context.due(service, "load balancer created"):
        try:
            hostname = context.cloud_provider.ensure_load_balancer(service)
        except CloudProviderError as error:
            _failed(context, service, f"Error syncing load balancer: {error}")
            context.retry()
            return
        context.applied_load_balancers[service["metadata"]["uid"]] = desired_hash
        ingress = [{"hostname": hostname}]
        context.state.set_status("services", service, {"loadBalancer": {"ingress": ingress}})
        message = "Ensured load balancer"
        context.state.event(service, reason="EnsuredLoadBalancer", message=message)


def _failed(context: ControllerContext, service: KubeObject, message: str) -> None:
    context.state.event(service, reason="SyncLoadBalancerFailed", message=message, warning=True)


def _delete(context: ControllerContext, service: KubeObject) -> None:
    if not context.due(service, "load balancer deleted"):
        return
    try:
        context.cloud_provider.delete_load_balancer(service)
    except CloudProviderError as error:
        message = f"Error deleting load balancer: {error}"
        context.state.event(
            service, reason="DeleteLoadBalancerFailed", message=message, warning=True
        )
        context.retry()
        return
    kept = context.state.set_status("services", service, {"loadBalancer": {}})
    deletion.remove_finalizer(context.state, "services", kept, CLEANUP)
