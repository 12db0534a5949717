"""Errors in the form of Kubernetes' Status object.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

from typing import Any

KubeObject = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON has it."""


class ApiError(Exception):
    """A rejected request: HTTP code, Kubernetes' reason, message."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: KubeObject | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = details or {}

    def status(self) -> KubeObject:
        """Return the Status object that a client reads."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": self.reason,
            "message": self.message,
            "code": self.code,
        } | ({"details": self.details} if self.details else {})


def not_found(plural: str, name: str) -> ApiError:
    """Return the error for an object that does not exist."""
    return ApiError(
        404, "NotFound", f'{plural} "{name}" not found', details={"name": name, "kind": plural}
    )


def no_such_path() -> ApiError:
    """Return the error for a path that no API group serves."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(plural: str, name: str) -> ApiError:
    """Return the error for creating an existing object."""
    return ApiError(
        409,
        "AlreadyExists",
        f'{plural} "{name}" already exists',
        details={"name": name, "kind": plural},
    )


def conflict(plural: str, name: str) -> ApiError:
    """Return the error for a write that is based on an old version."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again",
        details={"name": name, "kind": plural},
    )


def invalid(kind: str, name: str, field: str, why: str) -> ApiError:
    """Return the error for an object with an invalid field."""
    cause = {"reason": "FieldValueInvalid", "message": why, "field": field}
    return ApiError(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {field}: {why}',
        details={"name": name, "kind": kind, "causes": [cause]},
    )


def bad_request(message: str) -> ApiError:
    """Return the error for a malformed request."""
    return ApiError(400, "BadRequest", message)
