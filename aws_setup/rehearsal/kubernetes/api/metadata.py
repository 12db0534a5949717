"""Names, labels and the other metadata that every kind has, as the server checks them.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aws_setup.rehearsal.kubernetes.api.errors import (
    FieldError,
    KubeObject,
    not_allowed,
    required,
    too_long,
    wrong,
)
from aws_setup.rehearsal.kubernetes.api.kinds import ResourceKind

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_PART = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_DATA_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")

SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
PART_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
DATA_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
ANNOTATION_BYTES = 256 * 1024
STANDARD_FINALIZERS = {"kubernetes", "orphan", "foregroundDeletion"}


def _length(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def subdomain(value: str) -> str:
    """Return why a value is no DNS subdomain; empty when it is one."""
    if len(value) > 253:
        return _length(253)
    return "" if _SUBDOMAIN.match(value) else SUBDOMAIN_TEXT


def label(value: str) -> str:
    """Return why a value is no DNS label; empty when it is one."""
    if len(value) > 63:
        return _length(63)
    return "" if _LABEL.match(value) else LABEL_TEXT


def label_1035(value: str) -> str:
    """Return why a value is no DNS label that begins with a letter; empty when it is one."""
    if len(value) > 63:
        return _length(63)
    return "" if _LABEL_1035.match(value) else LABEL_1035_TEXT


def path_segment(value: str) -> str:
    """Return why a value cannot be a part of a path; empty when it can."""
    if value in {".", ".."}:
        return f"may not be '{value}'"
    return next((f"may not contain '{char}'" for char in "/%" if char in value), "")


def qualified_name(value: str) -> str:
    """Return why a value is no `[prefix/]name`; empty when it is one."""
    prefix, slash, name = value.rpartition("/")
    if slash and (not prefix or "/" in prefix):
        return (
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', with an "
            "optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
    if slash and (why := subdomain(prefix)):
        return f"prefix part {why}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return f"name part {_length(63)}"
    return "" if _PART.match(name) else PART_TEXT


def label_value(value: str) -> str:
    """Return why a value is no label's value; empty when it is one."""
    if len(value) > 63:
        return _length(63)
    return "" if not value or _PART.match(value) else LABEL_VALUE_TEXT


def data_key(value: str) -> str:
    """Return why a value is no key of a Secret or ConfigMap; empty when it is one."""
    if len(value) > 253:
        return _length(253)
    if value in {".", ".."}:
        return f"must not be '{value}'"
    return "" if _DATA_KEY.match(value) else DATA_KEY_TEXT


NAME_RULES = {
    "Namespace": label,
    "Service": label_1035,
    "Role": path_segment,
    "ClusterRole": path_segment,
    "RoleBinding": path_segment,
    "ClusterRoleBinding": path_segment,
}
"""The rule of a kind's names; a DNS subdomain for all others."""


def check_metadata(kind: ResourceKind, meta: KubeObject) -> list[FieldError]:
    """Return the problems of an object's metadata."""
    name = meta.get("name", "")
    found: list[FieldError] = []
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    elif why := NAME_RULES.get(kind.name, subdomain)(name):
        found.append(wrong("metadata.name", name, why))
    found += check_labels("metadata.labels", meta.get("labels") or {})
    found += _check_annotations(meta.get("annotations") or {})
    for at, finalizer in enumerate(meta.get("finalizers") or []):
        if why := qualified_name(finalizer):
            found.append(wrong("metadata.finalizers", finalizer, why))
        elif "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(wrong(f"metadata.finalizers[{at}]", finalizer, why))
    for at, owner in enumerate(meta.get("ownerReferences") or []):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                path = f"metadata.ownerReferences[{at}].{field}"
                found.append(wrong(path, "", "must not be empty"))
    return found


def check_labels(path: str, labels: Mapping[str, Any]) -> list[FieldError]:
    """Return the problems of a map of labels."""
    found = [wrong(path, key, why) for key in labels if (why := qualified_name(key))]
    return found + [
        wrong(path, value, why) for value in labels.values() if (why := label_value(value))
    ]


def _check_annotations(annotations: Mapping[str, str]) -> list[FieldError]:
    path = "metadata.annotations"
    found = [wrong(path, key, why) for key in annotations if (why := qualified_name(key.lower()))]
    size = sum(len(key) + len(value.encode()) for key, value in annotations.items())
    return found + ([too_long(path, ANNOTATION_BYTES)] if size > ANNOTATION_BYTES else [])


def check_changed_metadata(old: KubeObject, new: KubeObject) -> list[FieldError]:
    """Return the problems of changed metadata: an object being deleted gets no new finalizers."""
    if "deletionTimestamp" not in old:
        return []
    added = [item for item in new.get("finalizers") or [] if item not in old.get("finalizers", [])]
    if not added:
        return []
    listed = ", ".join(f'"{item}"' for item in added)
    return [
        not_allowed(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}",
        )
    ]
