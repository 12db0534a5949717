"""Writes the emulated Kubernetes API's schema: `python -m tests.regenerate_kubernetes_schema`.

The official client's models name every field of every kind with its type, so that the stand-in
refuses the fields and types that the real server refuses. Run it after an update of the client.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kubernetes.client import models

from aws_setup.rehearsal.kubernetes.api import kinds, schema

OTHER_NAMES = {
    "v1/Event": "CoreV1Event",
    "events.k8s.io/v1/Event": "EventsV1Event",
    "authentication.k8s.io/v1/TokenRequest": "AuthenticationV1TokenRequest",
}
"""Models whose names are not V1 and the kind."""

UNSERVED = (
    "v1/DeleteOptions",
    "policy/v1/Eviction",
    "autoscaling/v1/Scale",
    "authorization.k8s.io/v1/SelfSubjectAccessReview",
    "authorization.k8s.io/v1/SelfSubjectRulesReview",
    "authentication.k8s.io/v1/SelfSubjectReview",
    "authentication.k8s.io/v1/TokenRequest",
)
"""Kinds that are sent, and not stored."""

QUANTITIES = {
    ("ResourceRequirements", "limits"),
    ("ResourceRequirements", "requests"),
    ("VolumeResourceRequirements", "limits"),
    ("VolumeResourceRequirements", "requests"),
    ("EmptyDirVolumeSource", "sizeLimit"),
    ("ResourceFieldSelector", "divisor"),
    ("PodSpec", "overhead"),
    ("PersistentVolumeSpec", "capacity"),
    ("PersistentVolumeClaimStatus", "capacity"),
    ("PersistentVolumeClaimStatus", "allocatedResources"),
    ("NodeStatus", "capacity"),
    ("NodeStatus", "allocatable"),
    ("ResourceQuotaSpec", "hard"),
    ("ResourceQuotaStatus", "hard"),
    ("ResourceQuotaStatus", "used"),
    ("ContainerStatus", "allocatedResources"),
} | {
    ("LimitRangeItem", name)
    for name in ("default", "defaultRequest", "max", "maxLimitRequestRatio", "min")
}
"""Fields with quantities, which may be numbers; the models call them texts."""

BYTES = {("Secret", "data"), ("ConfigMap", "binaryData")}
"""Maps of base64; the models call some of them texts."""

ATOMS = {
    "str": "str",
    "int": "int",
    "bool": "bool",
    "float": "float",
    "datetime": "time",
    "object": "any",
    "bytearray": "bytes",
    "bytes": "bytes",
}
PATH = Path(schema.__file__).with_name("schema.json")


def short(model: str) -> str:
    """Return a model's name without its version."""
    return re.sub(r"^(Core|Events|Authentication)?V1(?=[A-Z])", r"\1", model)


def field_type(owner: str, field: str, text: str, found: list[str]) -> str:
    """Return the compact form of a model's type; adds the models that it names to `found`."""
    text = text.replace(" ", "")
    if item := re.fullmatch(r"(?:list|List)\[(.*)\]", text):
        return f"[{field_type(owner, field, item[1], found)}]"
    if item := re.fullmatch(r"(?:dict|Dict)[\[(](?:str),(.*)[\])]", text):
        return f"{{{field_type(owner, field, item[1], found)}}}"
    special = dict.fromkeys(QUANTITIES, "quantity") | dict.fromkeys(BYTES, "bytes")
    if (owner, field) in special:
        return special[owner, field]
    if text == "object" and field != "fieldsV1":
        return "intstr"
    if text not in ATOMS:
        found.append(text)
    return ATOMS.get(text) or short(text)


def document() -> dict[str, Any]:
    """Return the schema: the type of each field of each model that a served kind uses."""
    served = [f"{kind.group_version}/{kind.name}" for kind in kinds.SERVED]
    roots = {name: model_of(name) for name in (*served, *UNSERVED)}
    types: dict[str, dict[str, str]] = {}
    pending = list(roots.values())
    while pending:
        name = pending.pop()
        if short(name) in types:
            continue
        model = getattr(models, name)
        types[short(name)] = {
            model.attribute_map[key]: field_type(
                short(name), model.attribute_map[key], text, pending
            )
            for key, text in model.openapi_types.items()
        }
    return {
        "kinds": {name: short(model) for name, model in sorted(roots.items())},
        "types": dict(sorted(types.items())),
    }


def model_of(kind: str) -> str:
    """Return the name of the model of `group/version/Kind`."""
    return OTHER_NAMES.get(kind, f"V1{kind.rpartition('/')[2]}")


def text() -> str:
    """Return the contents of the schema file: one line for each type."""
    found = document()
    lines = [f"  {json.dumps(name)}: {json.dumps(held)}" for name, held in found["types"].items()]
    head = f'{{\n "kinds": {json.dumps(found["kinds"])},\n "types": {{\n'
    return head + ",\n".join(lines) + "\n }\n}\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
