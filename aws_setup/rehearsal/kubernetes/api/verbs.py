"""The verbs: get, list, create, update, patch, delete."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from aws_setup.rehearsal.kubernetes.api import (
    admission,
    bodies,
    defaults,
    deletion,
    errors,
    event_versions,
    field_managers,
    identity,
    immutability,
    patches,
    queries,
    responses,
    tls_warnings,
    validation,
)
from aws_setup.rehearsal.kubernetes.api.errors import ApiError, KubeObject
from aws_setup.rehearsal.kubernetes.api.http_requests import Request, RequestTarget
from aws_setup.rehearsal.kubernetes.api.json_copy import copy_json
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind
from aws_setup.rehearsal.kubernetes.api.responses import ApiResponse
from aws_setup.rehearsal.kubernetes.api.selectors import by_fields, by_labels
from aws_setup.rehearsal.kubernetes.api.state import ObjectStore

PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.json_merge,
    "application/strategic-merge-patch+json": patches.strategic_merge,
}
APPLY = "application/apply-patch+yaml"

CREATED_BY_UPDATE = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Event"} | {
    "Endpoints",
    "Lease",
    "LimitRange",
}
"""Kinds that a PUT creates (AllowCreateOnUpdate)."""

VERSIONED_UPDATE = {"Lease", "PodDisruptionBudget", "CSIDriver", "CSINode"}
"""Kinds whose PUT must name the resourceVersion (AllowUnconditionalUpdate is false)."""

RETURNED_WHEN_DELETED = {
    "Pod",
    "ServiceAccount",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ResourceQuota",
    "StorageClass",
    "CSIDriver",
    "CSINode",
}
"""Kinds whose deletion answers with the object (ReturnDeletedObject)."""

JOB_ORPHANS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)


class ObjectApi:
    """Answers requests about objects; used under the server's lock."""

    def __init__(self, state: ObjectStore) -> None:
        """Answer from `state`."""
        self.state = state
        self.field_managers = field_managers.FieldManagers()

    def answer(self, request: Request, target: RequestTarget) -> ApiResponse:
        """Answer any request about an object or a collection but watches.

        Raises:
            ApiError: the request is rejected.
        """
        object_verbs = {
            "GET": self._get,
            "PUT": self.update,
            "PATCH": self.patch,
            "DELETE": self._delete,
        }
        collection_verbs = {"GET": self._list, "POST": self._create, "DELETE": self._delete_all}
        work = (object_verbs if target.name else collection_verbs).get(request.method)
        unscoped = target.kind.namespaced and not target.namespace and request.method != "GET"
        if work is None or unscoped:
            raise errors.method_not_allowed()
        return work(request, target)

    def answered(
        self, request: Request, target: RequestTarget, status: int, obj: KubeObject
    ) -> ApiResponse:
        """Return an object or list in the form that the client accepts."""
        form = responses.shown(request, target.kind, obj, now=self.state.today)
        return ApiResponse(status, form)

    def _get(self, request: Request, target: RequestTarget) -> ApiResponse:
        queries.check_version(request, version=self.state.version)
        return self.answered(request, target, 200, self.require(target))

    def _list(self, request: Request, target: RequestTarget) -> ApiResponse:
        return self.answered(request, target, 200, self.listing(request, target))

    def matcher(self, request: Request, target: RequestTarget) -> Callable[[KubeObject], bool]:
        """Return the predicate of the objects that a list or watch selects."""
        labels = by_labels(request.query.get("labelSelector", ""))
        fields = by_fields(request.query.get("fieldSelector", ""), target.kind.plural)

        def wants(obj: KubeObject) -> bool:
            meta = obj["metadata"]
            if target.namespace and meta.get("namespace") != target.namespace:
                return False
            if target.name and meta["name"] != target.name:
                return False
            return labels(meta.get("labels") or {}) and fields(obj)

        return wants

    def listing(self, request: Request, target: RequestTarget) -> KubeObject:
        """Return the list object of a GET of a collection, as stored."""
        queries.check_list(request, version=self.state.version)
        wants = self.matcher(request, target)
        kind, state = target.kind, self.state
        found = [item for item in state.all(kind.plural, target.namespace) if wants(item)]
        items, meta = queries.page(request, found, version=state.version, oldest=state.oldest)
        return {
            "kind": f"{kind.name}List",
            "apiVersion": kind.group_version,
            "metadata": meta,
            "items": items,
        }

    def require(self, target: RequestTarget) -> KubeObject:
        """Return the object of a request; raises ApiError 404 without it."""
        return self.state.require(target.kind.plural, target.name, target.namespace)

    def _create(self, request: Request, target: RequestTarget) -> ApiResponse:
        queries.check_write(request)
        obj = self._decoded(request, target)
        meta = obj["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        if meta.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        return self._add(request, target, obj)

    def _decoded(self, request: Request, target: RequestTarget) -> KubeObject:
        kind = target.kind
        body = identity.check_identity(kind, bodies.read(request), namespace=target.namespace)
        return event_versions.stored(kind, bodies.decode(request, kind, body))

    def _add(self, request: Request, target: RequestTarget, obj: KubeObject) -> ApiResponse:
        kind, meta = target.kind, obj["metadata"]
        namespace = meta.get("namespace", "")
        admission.check_namespace_open(self.state, kind, obj)
        for owned in ("resourceVersion", "uid", "creationTimestamp", "managedFields", "selfLink"):
            meta.pop(owned, None)
        for owned in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            meta.pop(owned, None)
        if "status" in kind.subresources:
            obj.pop("status", None)
        defaults.set_defaults(kind, obj)
        admission.admit(self.state, kind, obj)
        admission.assign(self.state, kind, obj, None)
        validation.validate(kind, obj | {"kind": kind.name})
        held = self.state.objects.get((kind.plural, namespace, meta["name"]))
        if held is not None:
            dying = "deletionTimestamp" in held["metadata"]
            raise errors.already_exists(kind.qualified, meta["name"], dying=dying)
        request.warnings.extend(tls_warnings.warnings(kind, obj))
        if request.dry_run:
            return self.answered(request, target, 201, self._unstored(kind, obj))
        kept = self.state.put(kind.plural, obj)
        self.field_managers.record_write(None, kept, request.manager)
        return self.answered(request, target, 201, kept)

    def _unstored(self, kind: ResourceKind, obj: KubeObject) -> KubeObject:
        """Return what a dry run answers with: the object as it would be stored."""
        stamped = {"creationTimestamp": self.state.now(), "uid": obj["metadata"].get("uid", "")}
        meta = obj["metadata"] | stamped
        return obj | {"apiVersion": kind.group_version, "kind": kind.name, "metadata": meta}

    def update(self, request: Request, target: RequestTarget) -> ApiResponse:
        """Answer a PUT of an object or of its status."""
        queries.check_write(request)
        before = self.state.get(target.kind.plural, target.name, target.namespace)
        if before is None and target.kind.name not in CREATED_BY_UPDATE:
            raise errors.not_found(target.kind.qualified, target.name)
        after = self._decoded(request, target)
        identity.check_name(target, after)
        if before is None:
            return self._add(request, target, after)
        version = after["metadata"].get("resourceVersion")
        if target.kind.name in VERSIONED_UPDATE and not version:
            path, why = "metadata.resourceVersion", "must be specified for an update"
            raise errors.invalid(
                target.kind.qualified_name, target.name, errors.wrong(path, 0, why)
            )
        return self.write(request, target, before, after)

    def patch(self, request: Request, target: RequestTarget) -> ApiResponse:
        """Answer a PATCH of an object or of its status."""
        kind_of_patch = request.content_type.partition(";")[0].strip()
        if kind_of_patch != APPLY and kind_of_patch not in PATCHES:
            accepted = ", ".join((*PATCHES, APPLY))
            raise ApiError(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types "
                f"include: {accepted}",
            )
        queries.check_write(request, applies=kind_of_patch == APPLY)
        if kind_of_patch == APPLY:
            return self._apply(request, target)
        before = self.require(target)
        shown = event_versions.shown(target.kind, before)
        patched = patches.patched(PATCHES[kind_of_patch], shown, bodies.read(request))
        after = bodies.decode_patched(request, target.kind, patched)
        identity.check_patched(target, before, after)
        after = event_versions.stored(target.kind, after)
        return self.write(request, target, before, after)

    def _apply(self, request: Request, target: RequestTarget) -> ApiResponse:
        kind, state = target.kind, self.state
        config = bodies.decode_applied(request, kind, bodies.read(request))
        config = identity.check_identity(kind, config, namespace=target.namespace)
        if not config["metadata"].get("name"):
            raise errors.bad_request(
                f"the name of the object ({target.name} based on URL) was undeterminable: name "
                "must be provided"
            )
        identity.check_name(target, config)
        before = state.get(kind.plural, target.name, target.namespace)
        manager = request.manager
        if before is None:
            created = self._add(request, target, copy_json(config))
            kept = state.get(kind.plural, target.name, target.namespace)
            if not request.dry_run and kept is not None:
                self.field_managers.record_write(None, kept, "")
                self.field_managers.record_apply(kept, config, manager, force=True)
            return created
        force = request.query.get("force", "").lower() == "true"
        if not force:
            self.field_managers.check(before, config, manager)
        drop = self.field_managers.dropped_fields(before, config, manager)
        after = field_managers.apply_configuration(before, config, drop)
        answer = self.write(request, target, before, after, plain=False)
        if not request.dry_run:
            self.field_managers.record_apply(before, config, manager, force=force)
        return answer

    def write(
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
        if meta.get("uid") not in {None, "", old["uid"]}:
            why = (
                f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
                f"{old['uid']}"
            )
            raise errors.conflict(kind.qualified, target.name, why)
        after = identity.writable_part(target, before, after)
        if target.subresource != "status":
            defaults.set_defaults(kind, after)
            admission.assign(self.state, kind, after, before)
            validation.validate(kind, after | {"kind": kind.name})
            immutability.check_changes(kind, before, after)
            if kind.name == "PersistentVolumeClaim":
                admission.check_growth(self.state, before, after)
        request.warnings.extend(tls_warnings.warnings(kind, after))
        if request.dry_run:
            return self.answered(request, target, 200, after)
        kept = self.state.put(kind.plural, after)
        if plain and kept["metadata"]["resourceVersion"] != old["resourceVersion"]:
            self.field_managers.record_write(before, kept, request.manager)
        return self.answered(request, target, 200, kept)

    def _delete(self, request: Request, target: RequestTarget) -> ApiResponse:
        held, options = self.require(target), delete_options(request)
        kind = target.kind
        admission.check_deletion(kind, target.name)
        preconditions = options.get("preconditions") or {}
        for key, title in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            wanted, found = preconditions.get(key), held["metadata"][key]
            if wanted and wanted != found:
                why = (
                    f"Precondition failed: {title} in precondition: {wanted}, {title} in object "
                    f"meta: {found}"
                )
                raise errors.conflict(kind.qualified, target.name, why)
        if kind.name == "Job" and not options.get("propagationPolicy"):
            request.warnings.append(JOB_ORPHANS)
        if request.dry_run or options.get("dryRun"):
            return self.answered(request, target, 200, held)
        left = deletion.delete_object(self.state, kind.plural, held, options=options)
        if "deletionTimestamp" in left["metadata"] or kind.name in RETURNED_WHEN_DELETED:
            return self.answered(request, target, 200, left)
        details = {"name": target.name} | ({"group": kind.group} if kind.group else {})
        details |= {"kind": kind.plural, "uid": held["metadata"]["uid"]}
        return ApiResponse(200, success(details))

    def _delete_all(self, request: Request, target: RequestTarget) -> ApiResponse:
        if target.kind.name == "Namespace":
            raise errors.method_not_allowed()
        options = delete_options(request)
        found = self.listing(request, target)
        for item in found["items"]:
            if not request.dry_run:
                deletion.delete_object(self.state, target.kind.plural, item, options=options)
        return self.answered(request, target, 200, found)


def delete_options(request: Request) -> KubeObject:
    """Return the checked options of a deletion."""
    options = request.options()
    queries.check_delete(request, options)
    return options


def success(details: KubeObject) -> KubeObject:
    """Return the Status of a success."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
