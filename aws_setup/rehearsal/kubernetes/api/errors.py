"""Errors in the form of Kubernetes' Status object.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
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
        return (
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": self.message,
            }
            | ({"reason": self.reason} if self.reason else {})
            | ({"details": self.details} if self.details else {})
            | {"code": self.code}
        )


@dataclass(frozen=True)
class FieldError:
    """One cause of a 422: Kubernetes' reason, the field's path, and the message."""

    reason: str
    field: str
    message: str


def required(field: str, detail: str = "") -> FieldError:
    """Return the cause of a missing field."""
    return FieldError("FieldValueRequired", field, _text("Required value", detail))


def wrong(field: str, value: Any, detail: str = "") -> FieldError:
    """Return the cause of a value that is not allowed."""
    message = _text(f"Invalid value: {json.dumps(value)}", detail)
    return FieldError("FieldValueInvalid", field, message)


def not_allowed(field: str, detail: str) -> FieldError:
    """Return the cause of a field that may not be set or changed."""
    return FieldError("FieldValueForbidden", field, _text("Forbidden", detail))


def unsupported(field: str, value: Any, allowed: Iterable[str]) -> FieldError:
    """Return the cause of a value that is not one of a list."""
    listed = ", ".join(json.dumps(item) for item in allowed)
    message = f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
    return FieldError("FieldValueNotSupported", field, message)


def duplicate(field: str, value: Any) -> FieldError:
    """Return the cause of a value that occurs twice."""
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {json.dumps(value)}")


def too_long(field: str, limit: int) -> FieldError:
    """Return the cause of a value of more than `limit` bytes."""
    return FieldError("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def unknown_value(field: str, value: Any) -> FieldError:
    """Return the cause of a name that refers to nothing."""
    return FieldError("FieldValueNotFound", field, f"Not found: {json.dumps(value)}")


def _text(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head


def _details(qualified: str, name: str, **more: Any) -> KubeObject:
    """Return the details of an error about `plural.group` or `Kind.group`."""
    kind, _, group = qualified.partition(".")
    named = ({"name": name} if name else {}) | ({"group": group} if group else {})
    return named | {"kind": kind} | more


def not_found(plural: str, name: str) -> ApiError:
    """Return the error for an object that does not exist."""
    return ApiError(404, "NotFound", f'{plural} "{name}" not found', details=_details(plural, name))


def no_such_path() -> ApiError:
    """Return the error for a path that no API group serves."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    """Return the error for a method that a resource does not have."""
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )


def already_exists(plural: str, name: str, *, dying: bool = False) -> ApiError:
    """Return the error for creating an existing object, which may be being deleted."""
    text = f'{plural} "{name}" already exists'
    return ApiError(
        409,
        "AlreadyExists",
        f"object is being deleted: {text}" if dying else text,
        details=_details(plural, name),
    )


def conflict(plural: str, name: str, why: str = "") -> ApiError:
    """Return the error for a write that is based on an old version."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version and try "
        "again"
    )
    message = f'Operation cannot be fulfilled on {plural} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(plural, name))


def invalid(kind: str, name: str, *found: FieldError) -> ApiError:
    """Return the error for an object of `Kind.group` with invalid fields."""
    texts = [f"{item.field}: {item.message}" for item in found]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    causes = [
        {"reason": item.reason, "message": item.message, "field": item.field} for item in found
    ]
    return ApiError(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {listed}',
        details=_details(kind, name, causes=causes),
    )


def forbidden(qualified: str, name: str, why: str) -> ApiError:
    """Return the error for a request that admission or authorization refuses."""
    named = f'{qualified} "{name}"' if name else qualified
    return ApiError(
        403, "Forbidden", f"{named} is forbidden: {why}", details=_details(qualified, name)
    )


def bad_request(message: str) -> ApiError:
    """Return the error for a malformed request."""
    return ApiError(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    """Return the error for a version that is no longer kept."""
    return ApiError(410, "Expired", message)


def internal_error(error: BaseException) -> ApiError:
    """Return the answer to a request that the emulator itself could not handle."""
    text = f"{type(error).__name__}: {error}"
    causes = [{"message": text}]
    return ApiError(
        500, "InternalError", f"Internal error occurred: {text}", details={"causes": causes}
    )
