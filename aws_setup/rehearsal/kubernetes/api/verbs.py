"""The verbs: get, list, create, update, patch, delete, and the subresources."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_setup.rehearsal.kubernetes.api import deletion, errors, patches, validation
from aws_setup.rehearsal.kubernetes.api import patches as merging
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import Request, RequestTarget
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind
from aws_setup.rehearsal.kubernetes.api.selectors import by_fields, by_labels
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore

PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": merging.json_patch,
    "application/merge-patch+json": merging.json_merge,
    "application/strategic-merge-patch+json": merging.strategic_merge,
}
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class ApiResponse:
    """A complete response: an object, or text such as a pod log, and its media type."""

    status: int
    body: KubeObject | str
    kind: str = ""


class ObjectApi:
    """Answers requests about objects; used under the server's lock."""

    def __init__(self, state: ObjectStore, *, log_of: Callable[[KubeObject, Request], str]) -> None:
        """Answer from `state`; `log_of` returns a pod's log."""
        self.state = state
        self.field_managers = patches.FieldManagers()
        self._log_of = log_of

    def answer(self, request: Request, target: RequestTarget) -> ApiResponse:
        """Answer any request but watches.

        Raises:
            ApiError: the request is rejected.
        """
        if target.subresource:
            return self._subresource(request, target)
        object_verbs = {
            "GET": self._get,
            "PUT": self._update,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        collection_verbs = {"GET": self._list, "POST": self._create, "DELETE": self._delete_all}
        work = (object_verbs if target.name else collection_verbs).get(request.method)
        if work is None:
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method")
        return work(request, target)

    def _get(self, _: Request, target: RequestTarget) -> ApiResponse:
        return ApiResponse(200, self._require(target))

    def _list(self, request: Request, target: RequestTarget) -> ApiResponse:
        return ApiResponse(200, self.listing(request, target))

    def matcher(self, request: Request, target: RequestTarget) -> Callable[[KubeObject], bool]:
        """Return the predicate of the objects that a list or watch selects."""
        labels = by_labels(request.query.get("labelSelector", ""))
        fields = by_fields(request.query.get("fieldSelector", ""))

        def wants(obj: KubeObject) -> bool:
            meta = obj["metadata"]
            if target.namespace and meta.get("namespace") != target.namespace:
                return False
            if target.name and meta["name"] != target.name:
                return False
            return labels(meta.get("labels") or {}) and fields(obj)

        return wants

    def listing(self, request: Request, target: RequestTarget) -> KubeObject:
        """Return the list object of a GET of a collection."""
        wants = self.matcher(request, target)
        kind = target.kind
        found = [item for item in self.state.all(kind.plural, target.namespace) if wants(item)]
        return {
            "kind": f"{kind.name}List",
            "apiVersion": kind.group_version,
            "metadata": {"resourceVersion": str(self.state.version)},
            "items": found,
        }

    def _require(self, target: RequestTarget) -> KubeObject:
        return self.state.require(target.kind.plural, target.name, target.namespace)

    def _create(self, request: Request, target: RequestTarget) -> ApiResponse:
        kind = target.kind
        obj = validation.check_shape(kind, request.document(), namespace=target.namespace)
        meta = obj["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        return self._add(request, kind, obj)

    def _add(self, request: Request, kind: ResourceKind, obj: KubeObject) -> ApiResponse:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        self._check_namespace_open(kind, namespace)
        for owned in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
            meta.pop(owned, None)
        if "status" in kind.subresources:
            obj.pop("status", None)
        validation.check_names(kind, obj)
        if (kind.plural, namespace, meta["name"]) in self.state.objects:
            raise errors.already_exists(kind.qualified, meta["name"])
        validation.set_defaults(kind, obj, address=self.state.address)
        validation.validate(kind, obj | {"kind": kind.name})
        if request.dry_run:
            return ApiResponse(201, obj)
        if kind.plural == "persistentvolumeclaims":
            meta["finalizers"] = [*meta.get("finalizers", []), deletion.CLAIM_IN_USE]
        kept = self.state.put(kind.plural, obj)
        self.field_managers.record_write(None, kept, request.manager)
        return ApiResponse(201, kept)

    def _check_namespace_open(self, kind: ResourceKind, namespace: str) -> None:
        """Reject the creation in a namespace that does not exist or is terminating."""
        if not kind.namespaced:
            return
        held = self.state.require("namespaces", namespace)
        if "deletionTimestamp" in held["metadata"]:
            raise ApiError(
                403,
                "Forbidden",
                f"unable to create new content in namespace {namespace} because it is being "
                "terminated",
            )

    def _update(self, request: Request, target: RequestTarget) -> ApiResponse:
        before = self._require(target)
        after = validation.check_shape(target.kind, request.document(), namespace=target.namespace)
        if after["metadata"].get("name") != target.name:
            raise errors.bad_request("the name of the object does not match the name on the URL")
        return self._write(request, target, before, after)

    def _patch(self, request: Request, target: RequestTarget) -> ApiResponse:
        kind_of_patch = request.content_type.partition(";")[0].strip()
        if kind_of_patch == APPLY:
            return self._apply(request, target)
        if kind_of_patch not in PATCHES:
            raise ApiError(415, "UnsupportedMediaType", f"no such patch: {kind_of_patch}")
        before = self._require(target)
        after = PATCHES[kind_of_patch](before, request.document())
        return self._write(request, target, before, after)

    def _apply(self, request: Request, target: RequestTarget) -> ApiResponse:
        config = validation.check_shape(target.kind, request.document(), namespace=target.namespace)
        config["metadata"].setdefault("name", target.name)
        config["metadata"].pop("managedFields", None)
        before = self.state.get(target.kind.plural, target.name, target.namespace)
        manager = request.manager
        if before is None:
            created = self._add(request, target.kind, copy.deepcopy(config))
            if not request.dry_run and isinstance(created.body, dict):
                self.field_managers.record_write(None, created.body, "")
                self.field_managers.record_apply(created.body, config, manager, force=True)
            return created
        force = request.query.get("force", "").lower() == "true"
        if not force:
            self.field_managers.check(before, config, manager)
        drop = self.field_managers.dropped_fields(before, config, manager)
        after = patches.apply_configuration(before, config, drop)
        answer = self._write(request, target, before, after, plain=False)
        if not request.dry_run:
            self.field_managers.record_apply(before, config, manager, force=force)
        return answer

    def _write(
        self,
        request: Request,
        target: RequestTarget,
        before: KubeObject,
        after: KubeObject,
        *,
        plain: bool = True,
    ) -> ApiResponse:
        """Store a changed object, unless it is based on an old version or invalid."""
        kind, meta, old = target.kind, after["metadata"], before["metadata"]
        resource_version = meta.get("resourceVersion")
        if resource_version and resource_version != old["resourceVersion"]:
            raise errors.conflict(kind.qualified, target.name)
        if meta.get("uid") not in {None, old["uid"]}:
            raise errors.conflict(kind.qualified, target.name)
        after = self._writable_part(target, before, after)
        validation.set_defaults(kind, after, address=self.state.address, before=before)
        validation.validate(kind, after | {"kind": kind.name})
        validation.check_immutable_fields(kind, before, after)
        if request.dry_run:
            return ApiResponse(200, after)
        kept = self.state.put(kind.plural, after)
        if plain and kept["metadata"]["resourceVersion"] != old["resourceVersion"]:
            self.field_managers.record_write(before, kept, request.manager)
        return ApiResponse(200, kept)

    def _writable_part(
        self, target: RequestTarget, before: KubeObject, after: KubeObject
    ) -> KubeObject:
        """Return the object with the part that this request may write: the status, or the rest."""
        after = copy.deepcopy(after)
        if target.subresource == "status":
            return before | {"status": after.get("status", {})}
        if "status" in target.kind.subresources:
            after["status"] = before.get("status", {})
        if "deletionTimestamp" in before["metadata"]:
            after["metadata"]["deletionTimestamp"] = before["metadata"]["deletionTimestamp"]
        return after

    def _delete(self, request: Request, target: RequestTarget) -> ApiResponse:
        held, options = self._require(target), request.options()
        preconditions = options.get("preconditions") or {}
        for key in ("uid", "resourceVersion"):
            if preconditions.get(key) and preconditions[key] != held["metadata"][key]:
                raise errors.conflict(target.kind.qualified, target.name)
        if request.dry_run:
            return ApiResponse(200, held)
        left = deletion.delete_object(self.state, target.kind.plural, held, options=options)
        if "deletionTimestamp" in left["metadata"]:
            return ApiResponse(200, left)
        details = {"name": target.name, "kind": target.kind.plural, "uid": held["metadata"]["uid"]}
        return ApiResponse(200, _success(details))

    def _delete_all(self, request: Request, target: RequestTarget) -> ApiResponse:
        found = self.listing(request, target)
        for item in found["items"]:
            if not request.dry_run:
                deletion.delete_object(
                    self.state, target.kind.plural, item, options=request.options()
                )
        return ApiResponse(200, found)

    def _subresource(self, request: Request, target: RequestTarget) -> ApiResponse:
        held = self._require(target)
        if target.subresource == "log":
            return ApiResponse(200, self._log_of(held, request))
        if target.subresource == "eviction":
            options = (request.document() or {}).get("deleteOptions") or {}
            deletion.delete_object(self.state, "pods", held, options=options)
            return ApiResponse(201, _success({"name": target.name, "kind": "pods"}))
        if target.subresource == "scale":
            return self._scale(request, target, held)
        if request.method == "GET":
            return ApiResponse(200, held)
        return (
            self._patch(request, target)
            if request.method == "PATCH"
            else self._update(request, target)
        )

    def _scale(self, request: Request, target: RequestTarget, held: KubeObject) -> ApiResponse:
        scale = _scale_of(held)
        if request.method == "GET":
            return ApiResponse(200, scale)
        body = request.document()
        requested = body if request.method == "PUT" else merging.json_merge(scale, body)
        after = held | {"spec": held["spec"] | {"replicas": int(requested["spec"]["replicas"])}}
        parent = RequestTarget(target.kind, target.namespace, target.name)
        kept = self._write(request, parent, held, after).body
        return ApiResponse(200, _scale_of(kept) if isinstance(kept, dict) else scale)


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


def _success(details: KubeObject) -> KubeObject:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def access_review(request: Request) -> ApiResponse:
    """Answer a SelfSubjectAccessReview: everything for an admin, nothing for others.

    The answer does not depend on the body, so kubectl's protobuf body is not read.
    """
    requested = {} if "protobuf" in request.content_type else request.document()
    named = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return ApiResponse(201, requested | named | {"status": {"allowed": request.user.admin}})
