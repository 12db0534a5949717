"""The subresources: status, scale, log, eviction, token, and those that need an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api import (
    bodies,
    deletion,
    errors,
    patches,
    queries,
    reviews,
    schema,
    verbs,
)
from aws_setup.rehearsal.kubernetes.api.errors import KubeObject, bad_request
from aws_setup.rehearsal.kubernetes.api.http_requests import Request, RequestTarget
from aws_setup.rehearsal.kubernetes.api.kinds import SUBRESOURCE_VERBS
from aws_setup.rehearsal.kubernetes.api.responses import ApiResponse
from aws_setup.rehearsal.kubernetes.api.verbs import ObjectApi

METHODS = {"get": "GET", "create": "POST", "update": "PUT", "patch": "PATCH"}
LogOf = Callable[[KubeObject, Request], str]
"""Returns a pod's log; raises ApiError 400 while its container has not started."""


class Subresources:
    """Answers requests about subresources; used under the server's lock."""

    def __init__(self, api: ObjectApi, *, log_of: LogOf) -> None:
        """Answer about the objects of `api`."""
        self._api, self._log_of = api, log_of

    def answer(self, request: Request, target: RequestTarget) -> ApiResponse:
        """Answer a request about a subresource.

        Raises:
            ApiError: the request is rejected.
        """
        verbs_of = SUBRESOURCE_VERBS.get(target.subresource, ["get", "patch", "update"])
        if request.method not in {METHODS[verb] for verb in verbs_of}:
            raise errors.method_not_allowed()
        held = self._api.require(target)
        own = {
            "log": self._log,
            "eviction": self._evict,
            "scale": self._scale,
            "token": self._token,
            "exec": self._upgrade,
            "attach": self._upgrade,
            "portforward": self._upgrade,
        }.get(target.subresource)
        if own:
            return own(request, target, held)
        if request.method == "GET":
            return self._api.answered(request, target, 200, held)
        if request.method == "PATCH":
            return self._api.patch(request, target)
        return self._api.update(request, target)

    def _log(self, request: Request, target: RequestTarget, held: KubeObject) -> ApiResponse:
        for name in ("tailLines", "sinceSeconds", "limitBytes"):
            if queries.number(request, name) < 0:
                why = "must be greater than or equal to 0"
                found = errors.wrong(name, queries.number(request, name), why)
                raise errors.invalid("PodLogOptions", "", found)
        _check_container(request, held)
        if not held["spec"].get("nodeName"):
            return ApiResponse(204, "")
        return ApiResponse(200, self._log_of(held, request))

    def _upgrade(self, request: Request, target: RequestTarget, held: KubeObject) -> ApiResponse:
        if target.subresource == "exec":
            _check_container(request, held)
        if not held["spec"].get("nodeName"):
            raise bad_request(f"pod {target.name} does not have a host assigned")
        # The kubelet behind these is not emulated: no connection is ever upgraded.
        raise bad_request("Upgrade request required")

    def _evict(self, request: Request, target: RequestTarget, held: KubeObject) -> ApiResponse:
        body = bodies.read(request)
        meta = (body.get("metadata") or {}) if isinstance(body, dict) else {}
        if meta.get("name", target.name) != target.name:
            raise bad_request("name in URL does not match name in Eviction object")
        options = (body.get("deleteOptions") or {}) if isinstance(body, dict) else {}
        deletion.delete_object(self._api.state, "pods", held, options=options)
        return ApiResponse(201, verbs.success({"name": target.name, "kind": "pods"}))

    def _token(self, request: Request, target: RequestTarget, held: KubeObject) -> ApiResponse:
        body = reviews.service_account_token(request, held, now=self._api.state.today)
        return ApiResponse(201, body)

    def _scale(self, request: Request, target: RequestTarget, held: KubeObject) -> ApiResponse:
        scale = _scale_of(held)
        if request.method == "GET":
            return ApiResponse(200, scale)
        body = bodies.read(request)
        if request.method == "PATCH":
            kind = request.content_type.partition(";")[0].strip()
            body = patches.patched(verbs.PATCHES.get(kind, patches.json_merge), scale, body)
        requested = _decode_scale(body)
        replicas = (requested.get("spec") or {}).get("replicas", 0)
        if replicas < 0:
            why = "must be greater than or equal to 0"
            found = errors.wrong("spec.replicas", replicas, why)
            raise errors.invalid("Scale.autoscaling", target.name, found)
        version = requested.get("metadata", {}).get("resourceVersion")
        after = held | {"spec": held["spec"] | {"replicas": replicas}}
        if version:
            after["metadata"] = held["metadata"] | {"resourceVersion": version}
        parent = RequestTarget(target.kind, target.namespace, target.name)
        self._api.write(request, parent, held, after)
        return ApiResponse(200, _scale_of(self._api.require(parent)))


def _decode_scale(body: Any) -> KubeObject:
    try:
        return schema.decode("autoscaling/v1/Scale", body).obj
    except schema.WrongType as error:
        message = f'Scale in version "v1" cannot be handled as a Scale: {error}'
        raise bad_request(message) from error


def _check_container(request: Request, pod: KubeObject) -> None:
    """Check that a request names a container of the pod, or that the pod has only one."""
    name = pod["metadata"]["name"]
    names = [item["name"] for item in pod["spec"].get("containers") or []]
    first = [item["name"] for item in pod["spec"].get("initContainers") or []]
    wanted = request.query.get("container", "")
    if wanted and wanted not in {*names, *first}:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    if not wanted and len(names) > 1:
        listed = " ".join(names)
        more = f" or one of the init containers: [{' '.join(first)}]" if first else ""
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{listed}]{more}"
        )


def _scale_of(held: KubeObject) -> KubeObject:
    meta = {key: held["metadata"].get(key) for key in ("name", "namespace", "uid")}
    meta["resourceVersion"] = held["metadata"]["resourceVersion"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": held["spec"].get("replicas", 1)},
        "status": {"replicas": held.get("status", {}).get("replicas", 0)},
    }
