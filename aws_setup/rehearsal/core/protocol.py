"""Decodes HTTP requests to calls; encodes answers and errors in the service's protocol."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.sax.saxutils import escape

from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from moto.core.errors import COMMON_ERROR_CODES
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as MotoRequest
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model

from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.core.types import AwsError, Call

__all__ = ["operation_model", "service_model"]

SIGNING_NAMES = {
    "elasticloadbalancing": "elb",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}
"""Signing names that are not botocore's service names."""

_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Header names in lower case."""
    body: bytes = b""

    @functools.cached_property
    def call(self) -> Call:
        """The call of this request; raises AwsError when it has none."""
        return decode(self)


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP response."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def decode(request: HttpRequest) -> Call:
    """Return the call of a request; raises AwsError when it has none."""
    scope = _SCOPE.search(request.headers.get("authorization", ""))
    if scope is None:
        raise AwsError("MissingAuthenticationToken", "Missing Authentication Token", status=403)
    access_key, region, signed = scope.groups()
    service = SIGNING_NAMES.get(signed, signed)
    if service == "elb" and b"Version=2015-12-01" in request.body:
        service = "elbv2"
    action, params = _parse(service, request)
    return Call(
        service=service,
        action=action,
        params=params,
        region=region,
        account=ACCOUNT,
        client=request.headers.get("user-agent", ""),
        access_key=access_key,
    )


def _parse(service: str, request: HttpRequest) -> tuple[str, dict[str, Any]]:
    protocol = service_protocol(service)
    parts = urlsplit(request.target)
    values: Any = dict(parse_qsl(parts.query, keep_blank_values=True))
    matched: dict[str, Any] = {}
    if protocol in ("query", "ec2"):
        values |= dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        action = values.get("Action", "")
    elif protocol == "json":
        action = request.headers.get("x-amz-target", "").rpartition(".")[2]
    else:
        moto_request = to_moto_request(service, "us-east-1", request)
        values = moto_request.values
        found, matched = get_service_router(service).match(moto_request)
        action = str(found.name)
    parser = PROTOCOL_PARSERS[protocol](operation_model(service, action))
    fields = {
        "method": request.method,
        "values": values,
        "headers": request.headers,
        "body": request.body,
        "url_path": parts.path,
        "url_params": matched,
    }
    return action, dict(parser.parse(fields) or {})


def to_moto_request(service: str, region: str, request: HttpRequest) -> MotoRequest:
    """Return the request in moto's form, addressed to AWS's host name."""
    host = "elasticloadbalancing" if service in ("elb", "elbv2") else service
    return MotoRequest.from_primitives(
        request.method,
        f"https://{host}.{region}.amazonaws.com{request.target}",
        dict(request.headers),
        request.body,
    )


def encode_request(call: Call, authorization: str) -> HttpRequest:
    """Return a call as the HTTP request that botocore would send, unsigned."""
    model = operation_model(call.service, call.action)
    sent = create_serializer(service_protocol(call.service)).serialize_to_request(
        call.params, model
    )
    body = sent["body"]
    headers = {key.lower(): str(value) for key, value in sent["headers"].items()}
    if isinstance(body, dict):
        body = urlencode(body)
        headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    target = sent["url_path"]
    if sent.get("query_string"):
        target += "?" + urlencode(sent["query_string"], doseq=True)
    headers |= {"authorization": authorization, "user-agent": call.client}
    raw = body.encode() if isinstance(body, str) else bytes(body or b"")
    return HttpRequest(method=sent["method"], target=target, headers=headers, body=raw)


def decode_answer(call: Call, answer: HttpAnswer) -> dict[str, Any]:
    """Return an answer as boto3 would return it; raises AwsError when it is an error."""
    parser = create_parser(service_protocol(call.service))
    shape = operation_model(call.service, call.action).output_shape
    parsed = parser.parse(
        {
            "status_code": answer.status,
            "headers": HeadersDict(answer.headers),
            "body": answer.body,
        },
        shape,
    )
    if answer.status >= 300:
        error = parsed.get("Error", {})
        known = {"Error", "ResponseMetadata", "Code", "Message", "message"}
        extra = {key: value for key, value in parsed.items() if key not in known}
        raise AwsError(
            str(error.get("Code", "InternalFailure")),
            str(error.get("Message", "")),
            status=answer.status,
            extra=extra,
        )
    parsed.pop("ResponseMetadata", None)
    return dict(parsed)


def encode_answer(call: Call, result: Mapping[str, Any], request_id: str) -> HttpAnswer:
    """Return a result in the protocol of its service."""
    if call.service == "ec2":
        body = ec2_answer(call.action, result, request_id)
        headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
        return HttpAnswer(status=200, body=body, headers=headers)
    return _serialize(call, dict(result), request_id)


def encode_error(call: Call, error: AwsError, request_id: str) -> HttpAnswer:
    """Return an error in the protocol of its service, with the members of its error shape."""
    for name, value in error.extra.items():
        setattr(error, name, value)
    if error.code not in COMMON_ERROR_CODES:
        COMMON_ERROR_CODES.append(error.code)  # else moto warns about codes that no model lists
    answer = _serialize(call, error, request_id)
    status = error.status if error.status != 400 else answer.status
    return HttpAnswer(status=status, body=answer.body, headers=answer.headers)


def _serialize(call: Call, result: object, request_id: str) -> HttpAnswer:
    model = operation_model(call.service, call.action)
    serializer_class = get_serializer_class(call.service, service_protocol(call.service))
    serialized = serializer_class(
        operation_model=model, context=SerializationContext(request_id)
    ).serialize(result)
    body = serialized["body"]
    headers = {key: str(value) for key, value in serialized["headers"].items()}
    headers["x-amzn-RequestId"] = request_id
    raw = body.encode() if isinstance(body, str) else body
    return HttpAnswer(status=int(serialized["status_code"]), body=raw, headers=headers)


@functools.cache
def service_model(service: str) -> Any:
    """Return the service model of botocore, in moto's classes."""
    return get_service_model(service)


@functools.cache
def operation_model(service: str, action: str) -> Any:
    """Return the operation model; raises AwsError when the service has no such action."""
    model = service_model(service)
    if action not in model.operation_names:
        raise AwsError("InvalidAction", f"The action {action} is not valid for {service}.")
    return model.operation_model(action)


@functools.cache
def service_protocol(service: str) -> str:
    """Return the protocol of a service."""
    return str(service_model(service).protocol)


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
