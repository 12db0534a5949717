"""Types of Kubernetes objects, and the contents of Secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from aws_setup.errors import Refused

Json = dict[str, Any]
"""An object in the API's own JSON: fields that other programs wrote are kept unchanged."""


@dataclass(frozen=True)
class ResourceType:
    """A type of object, and its path in the API."""

    version: str
    plural: str
    namespaced: bool = True

    def path(self, name: str = "", namespace: str = "") -> str:
        """Return the path of one object, or of the list of all objects."""
        root = "/api/" if "/" not in self.version else "/apis/"
        spaced = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        named = f"/{quote(name)}" if name else ""
        return f"{root}{self.version}{spaced}/{self.plural}{named}"


NAMESPACE = ResourceType("v1", "namespaces", namespaced=False)
NODE = ResourceType("v1", "nodes", namespaced=False)
VOLUME = ResourceType("v1", "persistentvolumes", namespaced=False)
CONFIG_MAP = ResourceType("v1", "configmaps")
SECRET = ResourceType("v1", "secrets")
SERVICE = ResourceType("v1", "services")
SERVICE_ACCOUNT = ResourceType("v1", "serviceaccounts")
POD = ResourceType("v1", "pods")
CLAIM = ResourceType("v1", "persistentvolumeclaims")
EVENT = ResourceType("v1", "events")
DEPLOYMENT = ResourceType("apps/v1", "deployments")
STATEFUL_SET = ResourceType("apps/v1", "statefulsets")
DAEMON_SET = ResourceType("apps/v1", "daemonsets")
JOB = ResourceType("batch/v1", "jobs")
ROLE = ResourceType("rbac.authorization.k8s.io/v1", "roles")
ROLE_BINDING = ResourceType("rbac.authorization.k8s.io/v1", "rolebindings")
STORAGE_CLASS = ResourceType("storage.k8s.io/v1", "storageclasses", namespaced=False)


def is_being_deleted(obj: Mapping[str, Any]) -> bool:
    """Return whether an object is being deleted: finalizers or a grace period still keep it."""
    return "deletionTimestamp" in (obj.get("metadata") or {})


def created_at(obj: Mapping[str, Any]) -> datetime | None:
    """Return when the API server created an object; None where it says no time with a zone."""
    text = str((obj.get("metadata") or {}).get("creationTimestamp") or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def decode_secret(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return a Secret's data as text.

    Raises:
        Refused: a value is not UTF-8, which Kubernetes allows; it names Secret and key.
    """
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value or "").decode()
        except ValueError as error:
            metadata = secret["metadata"]
            name, namespace = metadata["name"], metadata.get("namespace", "default")
            raise Refused(
                f"the Secret {namespace}/{name} cannot be read",
                f"its key {key} is not UTF-8 text",
                f"restore the value of {key}, or delete the key and run `configure`: kubectl -n "
                f"{namespace} edit secret {name}",
            ) from error
    return found


def encode_secret(data: Mapping[str, str]) -> dict[str, str]:
    """Return text as a Secret's data."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
