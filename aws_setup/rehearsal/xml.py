"""EC2's answers in XML, written straight from a dictionary and the service model."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from aws_setup.rehearsal.wire_models import operation_model

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def ec2_answer(action: str, result: Mapping[str, Any], request_id: str) -> bytes:
    """Return the body of an EC2 answer."""
    shape = operation_model("ec2", action).output_shape
    inner = "".join(_members(shape, result)) if shape is not None else "<return>true</return>"
    body = f"<requestId>{request_id}</requestId>{inner}"
    return f'<{action}Response xmlns="{NAMESPACE}">{body}</{action}Response>'.encode()


@functools.cache
def _serialization_plan(shape: Any) -> tuple[tuple[str, str, Any], ...]:
    """Return member name, tag and shape of a structure's members."""
    return tuple(
        (name, str(member.serialization.get("name", name)), member)
        for name, member in shape.members.items()
    )


def _members(shape: Any, value: Mapping[str, Any]) -> Iterator[str]:
    for name, tag, member in _serialization_plan(shape):
        inner = value.get(name)
        if inner is not None:
            yield f"<{tag}>{_xml_text(member, inner)}</{tag}>"


def _xml_text(shape: Any, value: Any) -> str:
    if shape.type_name == "structure":
        return "".join(_members(shape, value))
    if shape.type_name == "list":
        return "".join(f"<item>{_xml_text(shape.member, item)}</item>" for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return escape(str(value))
