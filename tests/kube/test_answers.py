"""The answers that steps share while they are examined: one request for each question."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aws_setup.kube.answers import Answers
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterEndpoint
from aws_setup.kube.eks_token import Tokens
from aws_setup.kube.errors import KubeError
from aws_setup.kube.objects import CONFIG_MAP, NAMESPACE, NODE, SECRET, Json
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import StillClock, furnish


@pytest.fixture
def api() -> Iterator[KubeApiServer]:
    with KubeApiServer() as api:
        furnish(api)
        yield api


def client(api: KubeApiServer, answers: Answers | None) -> KubeClient:
    clock = StillClock()
    tokens = Tokens(lambda: "any", clock, check_credentials=lambda: None)
    endpoint = ClusterEndpoint(api.url, api.ca_pem)
    made = KubeClient.of_eks(endpoint, tokens, clock).with_answers(answers)
    api.requests.clear()
    return made


def named(name: str) -> Json:
    return {"metadata": {"name": name}, "data": {"x": "1"}}


def test_objects_of_the_listed_namespace_are_looked_up_in_one_list(api: KubeApiServer) -> None:
    client(api, None).create(CONFIG_MAP, named("a"), "default")
    asked = client(api, Answers("default"))
    found = asked.get(CONFIG_MAP, "a", "default")
    assert found is not None
    assert found["data"] == {"x": "1"}
    assert asked.get(CONFIG_MAP, "b", "default") is None
    assert "a" in [it["metadata"]["name"] for it in asked.list(CONFIG_MAP, "default")]
    assert asked.list(CONFIG_MAP, "default", labels="owner=helm") == []
    assert asked.get(CONFIG_MAP, "a", "kube-system") is None
    assert asked.get(NAMESPACE, "default") is not None
    assert [path for _, path, _ in api.requests] == [
        "/api/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/configmaps?labelSelector=owner%3Dhelm",
        "/api/v1/namespaces/kube-system/configmaps/a",
        "/api/v1/namespaces/default",
    ]


def test_what_one_step_changes_in_an_answer_another_does_not_see(api: KubeApiServer) -> None:
    asked = client(api, Answers("default"))
    asked.list(NODE)[0]["metadata"]["name"] = "changed"
    assert "changed" not in [it["metadata"]["name"] for it in asked.list(NODE)]


def test_after_a_write_everything_is_asked_for_again(api: KubeApiServer) -> None:
    asked = client(api, Answers("default"))
    assert asked.get(SECRET, "a", "default") is None
    asked.create(SECRET, {"metadata": {"name": "a"}}, "default")
    assert asked.get(SECRET, "a", "default") is not None


def test_an_answer_that_was_asked_for_before_a_write_is_not_kept() -> None:
    answers = Answers("default")

    def ask() -> Json:
        answers.forget()  # another step writes meanwhile
        return {"items": ["old"]}

    assert answers.of("/x", ask) == {"items": ["old"]}
    assert answers.of("/x", lambda: {"items": ["new"]}) == {"items": ["new"]}


def test_steps_that_ask_at_once_send_one_request() -> None:
    answers, asked, go = Answers("default"), [], threading.Event()

    def ask() -> Json:
        asked.append(1)
        go.wait(240)
        return {"items": []}

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(answers.of, "/x", ask) for _ in range(8)]
        go.set()
        assert [future.result() for future in futures] == [{"items": []}] * 8
    assert len(asked) == 1


def test_who_waits_for_an_answer_gets_its_error_and_who_comes_later_asks() -> None:
    answers, asked, go = Answers("default"), [], threading.Event()

    def fail() -> Json:
        asked.append(1)
        go.wait(240)
        raise KubeError("GET /x", "no answer", "", status=0)

    def try_it() -> str:
        try:
            answers.of("/x", fail)
        except KubeError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(try_it)
        while not asked:
            time.sleep(0.001)
        later = [pool.submit(try_it) for _ in range(7)]
        while pool._work_queue.qsize():
            time.sleep(0.001)
        go.set()
        assert {future.result() for future in (first, *later)} == {first.result()}
    assert first.result()
    assert len(asked) <= 2, "who had not asked yet when the error came asks again"
    assert answers.of("/x", lambda: {"items": []}) == {"items": []}


def test_an_error_is_no_answer(api: KubeApiServer) -> None:
    api.faults.add({"fault": "status", "status": 403, "resource": "nodes", "times": 1})
    asked = client(api, Answers("default"))
    with pytest.raises(KubeError):
        asked.list(NODE)
    assert asked.list(NODE)


def test_who_may_not_list_asks_for_the_object_alone(api: KubeApiServer) -> None:
    client(api, None).create(CONFIG_MAP, named("a"), "default")
    api.faults.add({"fault": "status", "status": 403, "resource": "configmaps", "times": 1})
    assert client(api, Answers("default")).get(CONFIG_MAP, "a", "default")
    assert [path.rpartition("/")[2] for _, path, _ in api.requests] == ["configmaps", "a"]
