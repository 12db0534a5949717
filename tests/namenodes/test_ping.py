"""The request that λFS's handlers accept, and what their answers say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aws_setup.namenodes.ping import activation_error, exception_of, ping_body, start_error
from aws_setup.namenodes.verify import cold_seconds
from aws_setup.rehearsal.openwhisk.handler import HandlerError, read_request

NO_NODE = "org.apache.zookeeper.KeeperException$NoNodeException: NoNode for /namenode2/permanent"

OLDER = {
    "clientInternalIp": str,
    "tcpEnabled": bool,
    "udpEnabled": bool,
    "BENCHMARK_MODE": bool,
    "clientName": str,
    "op": str,
    "requestId": str,
    "fsArgs": dict,
    "isClientInvoker": bool,
    "INVOKER_IDENTITY": str,
}
"""What the handlers read that take a single operation: commits 01ec990e and 3fd79eea of λFS."""


def value() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ping_body().head)["value"]
    return found


def with_memory(document: Any) -> dict[str, Any]:
    """Return the arguments of an action, which has its memory as a parameter."""
    return {"actionMemory": 20000, **document}


def test_a_handler_of_batches_reads_one_ping_of_nobody() -> None:
    request = read_request(with_memory({"value": value()}))
    [operation] = request.operations
    assert (operation.name, operation.arguments) == ("ping", {})
    assert not request.tcp_enabled, "it does not connect back"


def test_a_handler_of_single_operations_finds_all_that_it_reads() -> None:
    found = value()
    assert {name: type(found[name]) for name in OLDER} == OLDER
    assert not {"TCP_PORT", "UDP_PORT", "LOCAL_MODE"} & found.keys(), "handlers differ in the type"
    assert list(found["BATCH"]) == [found["requestId"]] != [value()["requestId"]]


def test_only_the_parameter_of_the_action_is_missing_in_the_body() -> None:
    """A request may not replace it: the parameters of these actions are final."""
    assert list(json.loads(ping_body().head)) == ["value"]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({}, "NullPointerException"),
        ({"value": "a"}, "ClassCastException"),
        ({"value": {"op": "ping"}}, "NullPointerException"),
        ({"value": {**value(), "tcpEnabled": "no"}}, "ClassCastException"),
        ({"value": {**value(), "TCP_PORT": 6000}}, "ClassCastException"),
        ({"value": {**value(), "BATCH": {"1": {"op": "ping"}}}}, "NullPointerException"),
        ({"value": value(), "actionMemory": "20000"}, "ClassCastException"),
    ],
)
def test_the_handler_of_the_rehearsal_refuses_what_the_real_one_does(
    document: Any, error: str
) -> None:
    with pytest.raises(HandlerError, match=error):
        read_request(with_memory(document))


def test_without_its_memory_no_request_is_read() -> None:
    with pytest.raises(HandlerError, match="NullPointerException"):
        read_request({"value": value()})


@pytest.mark.parametrize(
    "answer",
    [
        {"EXCEPTIONS": [NO_NODE]},
        {"body": {"EXCEPTIONS": [NO_NODE, "another"]}},
        {"1-2-3": {"op": "ping", "EXCEPTIONS": [NO_NODE]}},
        {"statusCode": 200, "body": {"1-2-3": {"op": "ping", "EXCEPTIONS": [NO_NODE]}}},
    ],
)
def test_an_exception_is_found_wherever_handlers_put_it(answer: Any) -> None:
    assert exception_of(answer) == NO_NODE
    record = {"response": {"success": True, "result": answer}}
    assert activation_error(record) == NO_NODE


@pytest.mark.parametrize(
    "answer", [{}, None, [], "text", {"1": {"EXCEPTIONS": []}}, {"body": {"1": {"op": "ping"}}}]
)
def test_other_answers_have_no_exception(answer: Any) -> None:
    assert exception_of(answer) == ""


def log(*lines: str) -> list[str]:
    return [f"2026-11-28T20:15:00.123456789Z stdout: {line}" for line in lines]


def test_the_exception_of_a_start_is_that_of_the_log() -> None:
    mark = "ERROR Encountered IOException while creating and initializing the NameNode: "
    end = "java.lang.IllegalStateException: ServerlessNameNode instance does not exist!"
    lines = log("starting", mark, NO_NODE, "\tat org.apache.zookeeper", "after it", end)
    assert start_error(lines) == NO_NODE
    causes = log(mark, "java.io.IOException: a", "\tat b", "Caused by: c: d", "\t... 9 more", end)
    assert start_error(causes) == "c: d"
    assert start_error(log("starting", "started")) == start_error([]) == ""
    assert start_error(log(mark)) == ""
    result = {"error": f"An error has occurred: {end}"}
    response = {"success": False, "status": "action developer error", "result": result}
    assert activation_error({"response": response, "logs": lines}) == NO_NODE
    assert activation_error({"response": response}) == f"action developer error: {result['error']}"
    assert activation_error({}) == "no status: no reason reported"


def test_a_cold_start_lasts_until_the_namenode_has_started() -> None:
    """The container and /init are there before the first run, in which the NameNode starts."""
    notes = [{"key": "waitTime", "value": 2000}, {"key": "initTime", "value": 1000}]
    record = {"duration": 9000, "annotations": notes}
    assert cold_seconds(record) == 11.0
    assert cold_seconds({**record, "annotations": notes[:1]}) is None
