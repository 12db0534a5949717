"""The request of λFS's clients that asks a NameNode for nothing, and what an answer says.

The facts are those of λFS's sources: the request of OpenWhiskInvoker and ServerlessInvokerBase, and
how OpenWhiskHandler reads it. They are in hadoop-hdfs-project/hadoop-hdfs/src/main/java/org/apache/
hadoop/hdfs/serverless of https://github.com/ds2-lab/LambdaFS/tree/serverless-namenode-aws.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aws_setup.engine.safe_text import shorten
from aws_setup.namenodes.action import Body

OPERATION = "ping"
"""λFS's operation that does nothing: it reads no file, and changes none."""

CALLER = "lambda-fs-verify"

NO_CLIENT = "0.0.0.0"  # nosec B104 -- no address to listen at
"""The address that DataNodes and NameNodes name as their client's: nothing connects back to it."""

_NOT_STARTED = "while creating and initializing the NameNode"
"""In the line of the log before the exception with which a start has failed."""

_PREFIX = re.compile(r"^\S+ std(?:out|err): ?")
"""Before each line of an activation's log: time and stream."""

_MOST = 300
"""Characters of an error that are shown."""


def ping_body() -> Body:
    """Return the body of a request with the operation `ping`, in both forms that handlers read.

    A newer handler takes the operations from BATCH, by their ids, and an older one takes a single
    one from the same object. Both fail before they start a NameNode where a value is missing, and
    take the ports of a client, of two types, only where they are named.
    """
    identifier = str(uuid.uuid4())
    request = {
        "op": OPERATION,
        "fsArgs": {},
        "clientName": CALLER,
        "isClientInvoker": False,
        "INVOKER_IDENTITY": CALLER,
        "requestId": identifier,
    }
    shared = {
        "command-line-arguments": "-regular",
        "clientInternalIp": NO_CLIENT,
        "tcpEnabled": False,
        "udpEnabled": False,
        "BENCHMARK_MODE": True,
    }
    value = {**shared, **request, "BATCH": {identifier: request}}
    return Body(json.dumps({"value": value}).encode(), memoryview(b""), b"")


def exception_of(answer: Any) -> str:
    """Return the first exception that a NameNode reports, '' when there is none.

    A NameNode answers with HTTP 200 also where the operation has failed. The result is the answer
    itself, its `body`, or below the request's id in one of them.
    """
    for part in _parts(answer):
        exceptions = part.get("EXCEPTIONS")
        if isinstance(exceptions, list) and exceptions:
            return shorten(str(exceptions[0]), _MOST)
    return ""


def _parts(answer: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(answer, dict):
        return
    body = answer.get("body")
    for part in (answer, body) if isinstance(body, dict) else (answer,):
        yield part
        yield from (item for item in part.values() if isinstance(item, dict))


def activation_error(record: Mapping[str, Any]) -> str:
    """Return why a NameNode has not answered, by the record of its activation; '' if it has.

    Where the record has the log of a failed start, the exception is that of the log: the result
    says only that there is no NameNode.
    """
    response = record.get("response") or {}
    result = response.get("result")
    if response.get("success"):
        return exception_of(result)
    if error := start_error(record.get("logs") or ()):
        return error
    detail = result.get("error") if isinstance(result, dict) else result
    text = f"{response.get('status', 'no status')}: {detail or 'no reason reported'}"
    return shorten(text, _MOST)


def start_error(log: Sequence[str]) -> str:
    """Return the exception with which a NameNode's start has failed, by the log of an activation.

    Returns:
        The cause of all, as Java names it; '' where the log has none.
    """
    lines = iter([_PREFIX.sub("", str(line)).strip() for line in log])
    if not any(_NOT_STARTED in line for line in lines):
        return ""
    error = next(lines, "")
    for line in lines:
        cause = line.removeprefix("Caused by: ")
        if cause != line:
            error = cause
        elif not line.startswith(("at ", "... ")):
            break
    return shorten(error, _MOST)
