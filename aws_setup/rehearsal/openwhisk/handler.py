"""λFS's handler in an emulated container: what it reads of an invocation, and what it answers.

As OpenWhiskHandler.main, whose exceptions the image's Proxy turns into an error of the developer:
https://github.com/ds2-lab/LambdaFS/blob/serverless-namenode-aws/hadoop-hdfs-project/hadoop-hdfs/src/main/java/org/apache/hadoop/hdfs/serverless/OpenWhiskHandler.java
https://github.com/Scusemua/openwhisk-runtime-java/blob/master/core/java8/proxy/src/main/java/org/apache/openwhisk/runtime/java/action/Proxy.java
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aws_setup.rehearsal.openwhisk.invocation import (
    Invocation,
    NameNode,
    NameNodeRuntime,
    OperationError,
    StartError,
)

T = TypeVar("T")

NO_INSTANCE = "java.lang.IllegalStateException: ServerlessNameNode instance does not exist!"


class HandlerError(Exception):
    """An exception that leaves the handler, as Java prints it; with the lines of its log."""

    def __init__(self, text: str, log: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.log = list(log)


@dataclass(frozen=True)
class Operation:
    """One operation of a batch."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    by_client: bool


@dataclass(frozen=True)
class Request:
    """The arguments of an invocation that the handler reads."""

    operations: Sequence[Operation]
    client: str
    tcp_enabled: bool
    tcp_ports: Sequence[int]


def member(holder: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Return a value of a JSON object.

    Raises:
        HandlerError: it is missing, or of another type.
    """
    if name not in holder:
        raise HandlerError("java.lang.NullPointerException")
    value = holder[name]
    # A boolean is an int in Python, and none in Gson.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise HandlerError(f"java.lang.ClassCastException: {name} is no {kind.__name__}")
    return value


def read_request(arguments: Mapping[str, Any]) -> Request:
    """Return what an invocation asks for.

    Raises:
        HandlerError: an argument is missing, or of another type.
    """
    member(arguments, "actionMemory", int)
    value: Mapping[str, Any] = member(arguments, "value", dict)
    tcp_enabled = member(value, "tcpEnabled", bool)
    for name in ("udpEnabled", "BENCHMARK_MODE"):
        member(value, name, bool)
    ports = {name: member(value, name, list) for name in ("TCP_PORT", "UDP_PORT") if name in value}
    operations = [
        _operation(identifier, request)
        for identifier, request in member(value, "BATCH", dict).items()
    ]
    client = member(value, "clientInternalIp", str) if operations else ""
    return Request(operations, client, tcp_enabled, ports.get("TCP_PORT", ()))


def _operation(identifier: str, request: Mapping[str, Any]) -> Operation:
    for name in ("clientName", "INVOKER_IDENTITY"):
        member(request, name, str)
    return Operation(
        identifier,
        member(request, "op", str),
        member(request, "fsArgs", dict),
        member(request, "isClientInvoker", bool),
    )


def handle(invocation: Invocation, start: NameNodeRuntime) -> tuple[dict[str, Any], list[str]]:
    """Start the NameNode and execute the batch; return the result and the lines of the log.

    A start that fails is in the log only: the handler then looks for the NameNode's cache, and ends
    with the exception that there is no NameNode.

    Raises:
        HandlerError: an exception leaves the handler.
        NoContainerError: there is no container.
    """
    request = read_request(invocation.arguments)
    log: list[str] = []
    try:
        namenode = start(invocation)
    except StartError as error:
        kind = str(error).partition(":")[0].rpartition(".")[2]
        line = f"ERROR Encountered {kind} while creating and initializing the NameNode: "
        raise HandlerError(NO_INSTANCE, [line, str(error), "\tat (…)"]) from error
    body = {operation.id: _result(namenode, operation) for operation in request.operations}
    if request.tcp_enabled and any(operation.by_client for operation in request.operations):
        log += namenode.connect(request.client, request.tcp_ports)
    headers = {"content-type": "application/json"}
    answer = {"statusCode": 200, "status": "success", "success": True}
    return {**answer, "headers": headers, "body": body}, log


def _result(namenode: NameNode, operation: Operation) -> dict[str, Any]:
    """Return the result of an operation; here as JSON, and not as a serialised object of Java."""
    result: dict[str, Any] = {"op": operation.name, "DUPLICATE_REQUEST": False}
    try:
        result["RESULT"] = json.dumps(namenode.execute(operation.name, operation.arguments))
    except OperationError as error:
        result["EXCEPTIONS"] = [str(error)]
    return result
