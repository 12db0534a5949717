"""The Kubernetes client: which failed requests are repeated, when, and what errors become."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from aws_setup.engine.http_deadline import HINT_CLOCK
from aws_setup.engine.retry import (
    SERVER_BUSY,
    SERVER_ERROR,
    SERVER_RESTARTING,
    SERVER_UNREACHABLE,
    RetryPolicy,
)
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connection import ClusterEndpoint
from aws_setup.kube.eks_token import Tokens
from aws_setup.kube.errors import (
    HINT_ENDPOINT,
    HINT_NAME,
    HINT_NETWORK,
    HINT_PROXY,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeNotFound,
    KubeUnauthorized,
    KubeUnreachable,
    to_kube_error,
)
from aws_setup.kube.objects import CONFIG_MAP, NAMESPACE, NODE
from aws_setup.kube.replies import Reply, retry_policy
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.certificates import ec_key, issued
from tests.support.hostile_http import server_of_tomorrow
from tests.support.kube import StillClock, furnish

PAUSES = [1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0]
"""Seconds between the 8 tries at a server that has not answered yet."""


@dataclass
class Session:
    """A client of an emulated API server, its clock, and the notes of its requests."""

    api: KubeApiServer
    clock: StillClock = field(default_factory=StillClock)
    notes: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=lambda: ["any"])

    def client(self) -> KubeClient:
        endpoint = ClusterEndpoint(self.api.url, self.api.ca_pem)
        tokens = Tokens(self.sign, self.clock, check_credentials=self.check_credentials)
        return KubeClient.of_eks(endpoint, tokens, self.clock).with_progress(self.notes.append)

    def sign(self) -> str:
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    def check_credentials(self) -> None:
        self.notes.append("checked the credentials")

    def refuse(self, status: int, **more: Any) -> None:
        self.api.faults.add({"fault": "status", "status": status, "resource": "nodes"} | more)


@pytest.fixture
def session() -> Iterator[Session]:
    with KubeApiServer() as api:
        furnish(api)
        yield Session(api)


@pytest.mark.parametrize(
    ("status", "answered", "policy"),
    [
        (0, False, SERVER_UNREACHABLE),
        (0, True, SERVER_RESTARTING),
        (429, True, SERVER_BUSY),
        (503, True, SERVER_BUSY),
        (500, True, SERVER_ERROR),
        (404, True, None),
        (409, True, None),
        (422, True, None),
    ],
)
def test_the_status_selects_the_retry_policy(
    status: int, answered: bool, policy: RetryPolicy | None
) -> None:
    assert retry_policy(Reply(status, ""), answered=answered) is policy


def test_a_host_name_that_does_not_resolve_is_retried_only_after_an_answer() -> None:
    reply = Reply(0, "", no_cluster=True)
    assert retry_policy(reply, answered=False) is None
    assert retry_policy(reply, answered=True) is SERVER_RESTARTING


@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_pause_is_the_one_that_retry_after_asks_for(session: Session, status: int) -> None:
    session.refuse(status, retry_after=7, times=2)
    assert session.client().list(NODE)
    assert session.clock.slept == [7.0, 7.0]
    assert session.notes[0].startswith(f"the cluster's API server answers {status}: waiting for")


def test_without_retry_after_the_pauses_grow(session: Session) -> None:
    session.refuse(503, times=6)
    assert session.client().list(NODE)
    assert session.clock.slept == [1.0, 2.0, 3.0, 4.0, 5.0, 5.0]
    assert session.notes == [
        "the cluster's API server answers 503: waiting for it, up to 5 min",
    ]


def test_a_retry_after_beyond_the_deadline_ends_the_request(session: Session) -> None:
    session.refuse(503, retry_after=3600, times=2)
    with pytest.raises(KubeError) as caught:
        session.client().list(NODE)
    assert caught.value.status == 503
    assert session.clock.slept == []


def test_a_server_that_answered_before_is_retried_for_five_minutes(session: Session) -> None:
    session.refuse(503, times=1000)
    with pytest.raises(KubeError):
        session.client().list(NODE)
    assert SERVER_RESTARTING.deadline == 300
    assert 290 <= session.clock.seconds <= 300


def test_a_request_at_which_the_server_fails_is_tried_eight_times(session: Session) -> None:
    session.refuse(500, times=8)
    with pytest.raises(KubeError):
        session.client().list(NODE)
    assert session.clock.slept == PAUSES
    assert session.client().list(NODE)


def test_a_server_that_never_answered_is_tried_eight_times(session: Session) -> None:
    session.api.faults.add({"fault": "restarting", "times": 8})
    with pytest.raises(KubeUnreachable):
        session.client().list(NODE)
    assert session.clock.slept == PAUSES
    assert session.notes == ["the cluster's API server does not answer: waiting for it"]


def test_all_clients_of_a_run_know_that_the_server_has_answered(session: Session) -> None:
    client = session.client()
    client.with_progress(lambda _: None).list(NODE)
    session.api.faults.add({"fault": "restarting", "times": 10})
    assert client.list(NODE)
    assert len(session.clock.slept) == 10


def test_a_host_name_that_does_not_resolve_fails_at_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = session.client()

    def unresolved(*_: Any, **__: Any) -> Any:
        pool: Any = None
        raise urllib3.exceptions.NameResolutionError("zoo", pool, OSError("no such host"))  # type: ignore[arg-type]

    monkeypatch.setattr(client._pools, "request", unresolved)
    with pytest.raises(KubeUnreachable, match="host name does not resolve"):
        client.list(NODE)
    assert session.clock.slept == []


def test_only_a_server_that_drops_packets_advises_to_compare_addresses(session: Session) -> None:
    tokens = Tokens(session.sign, session.clock, check_credentials=session.check_credentials)
    wrong = ClusterEndpoint(session.api.url, issued("another CA", ec_key()))
    session.api.faults.add({"fault": "restarting", "times": 8})
    unknown = ClusterEndpoint("https://no-such-host.invalid", session.api.ca_pem)
    hints = []
    for client in (
        session.client(),
        KubeClient.of_eks(wrong, tokens, session.clock),
        KubeClient.of_eks(unknown, tokens, session.clock),
    ):
        with pytest.raises(KubeUnreachable) as caught:
            client.list(NODE)
        hints.append(caught.value.problems[0].hint)
    assert hints == [HINT_NETWORK, HINT_PROXY, HINT_NAME]
    for why in ("Connection to zoo timed out. (connect timeout=5.0)", "no complete answer in 2 s"):
        assert to_kube_error("GET", "/", 0, why).problems[0].hint == HINT_ENDPOINT


def test_a_certificate_that_is_not_accepted_is_not_waited_for(
    session: Session, tmp_path: Path
) -> None:
    tokens = Tokens(session.sign, session.clock, check_credentials=session.check_credentials)
    with server_of_tomorrow(tmp_path) as (url, certificate):
        another = ClusterEndpoint(url, issued("another CA", ec_key()))
        early = ClusterEndpoint(url, certificate.read_text())
        for endpoint, hint in ((another, HINT_PROXY), (early, HINT_CLOCK)):
            with pytest.raises(KubeUnreachable, match="certificate is not accepted") as caught:
                KubeClient.of_eks(endpoint, tokens, session.clock).list(NODE)
            assert caught.value.problems[0].hint == hint
    assert session.clock.slept == []


def test_a_refused_forwarding_does_not_blame_the_address_at_which_the_server_has_answered(
    session: Session,
) -> None:
    client = session.client()
    assert client.list(NODE)
    with pytest.raises(KubeError, match="no port of the pod absent can be reached") as caught:
        client.forward("absent", "default", 80)
    assert "pods/portforward" in caught.value.problems[0].hint
    assert "address" not in caught.value.problems[0].hint


def test_a_refused_token_is_renewed_once(session: Session) -> None:
    session.tokens = ["expired", "any"]
    assert session.client().list(NODE)
    assert session.notes == []


def test_a_second_refusal_checks_the_credentials_of_aws(session: Session) -> None:
    session.tokens = ["expired", "expired"]
    with pytest.raises(KubeUnauthorized, match="no access to this cluster"):
        session.client().list(NODE)
    assert session.notes == ["checked the credentials"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0, KubeUnreachable),
        (401, KubeUnauthorized),
        (403, KubeForbidden),
        (404, KubeNotFound),
        (409, KubeConflict),
        (422, KubeError),
    ],
)
def test_every_status_that_callers_tell_apart_has_its_class(
    status: int, kind: type[KubeError]
) -> None:
    error = to_kube_error("GET", "/api/v1/nodes", status, '{"message": "the reason"}')
    assert type(error) is kind
    assert error.status == status
    assert error.problems[0].hint


def test_the_reason_is_the_message_of_the_status_object_or_else_the_text() -> None:
    known = to_kube_error("GET", "/api/v1/nodes", 422, '{"message": "the  reason"}')
    assert known.problems[0].what == "Kubernetes refused GET nodes (422)"
    assert known.problems[0].why == "the reason"
    proxied = to_kube_error("GET", "/api/v1/nodes", 502, "<html>\nbad gateway</html>")
    assert proxied.problems[0].why == "<html> bad gateway</html>"


def test_an_object_that_does_not_exist_is_none_and_deleting_it_is_fine(session: Session) -> None:
    client = session.client()
    assert client.get(CONFIG_MAP, "absent", "default") is None
    client.delete(CONFIG_MAP, "absent", "default")


def test_creating_what_exists_returns_the_existing_object(session: Session) -> None:
    client = session.client()
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "openwhisk"}}
    first = client.create(NAMESPACE, body)
    assert client.create(NAMESPACE, body)["metadata"]["uid"] == first["metadata"]["uid"]


def test_creating_what_is_being_deleted_waits_until_the_name_is_free(session: Session) -> None:
    client, body = session.client(), {"apiVersion": "v1", "kind": "ConfigMap"}
    held = body | {"metadata": {"name": "a", "finalizers": ["example.com/keep"]}}
    first = client.create(CONFIG_MAP, held, "default")
    client.delete(CONFIG_MAP, "a", "default")
    with pytest.raises(KubeConflict) as caught:
        client.create(CONFIG_MAP, held, "default")
    assert "object is being deleted" in caught.value.problems[0].why
    assert sum(session.clock.slept) >= 290
    session.clock.on_sleep = lambda: client.patch(
        CONFIG_MAP, "a", {"metadata": {"finalizers": None}}, "default"
    )
    second = client.create(CONFIG_MAP, body | {"metadata": {"name": "a"}}, "default")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.kind("D4")
def test_deleting_what_is_being_deleted_is_no_error_and_another_conflict_is(
    session: Session,
) -> None:
    client, refusal = session.client(), {"fault": "status", "status": 409, "verb": "delete"}
    for name, meta in (("dying", {"finalizers": ["example.com/keep"]}), ("living", {})):
        body = {"metadata": {"name": name} | meta}
        client.create(CONFIG_MAP, body, "default")
    client.delete(CONFIG_MAP, "dying", "default")
    session.api.faults.add(refusal | {"resource": "configmaps", "times": 2})
    client.delete(CONFIG_MAP, "dying", "default")
    with pytest.raises(KubeConflict):
        client.delete(CONFIG_MAP, "living", "default")


@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ('pods is forbidden: User "u" cannot list resource "pods"', "cluster_admins"),
        ('secrets "s" is forbidden: unable to create new content in namespace n because it is '
         "being terminated", "wait until the namespace is deleted"),
        ('pods "p" is forbidden: error looking up service account n/x: serviceaccount "x" not '
         "found", "run the same command again"),
        ('namespaces "default" is forbidden: this namespace may not be deleted', "run the same"),
        ('pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: '
         "pods=3", "ResourceQuota"),
        ('pods "p" is forbidden: violates PodSecurity "restricted:latest": privileged', "enforce="),
        ('admission webhook "a.example.com" denied the request: no latest tags', "exception"),
    ],
)  # fmt: skip
def test_only_a_403_about_permissions_asks_for_permissions(why: str, hint: str) -> None:
    text = json.dumps({"message": why})
    assert hint in to_kube_error("POST", "/api/v1/pods", 403, text).problems[0].hint


@pytest.mark.kind("D4")
@pytest.mark.parametrize("status", [400, 422, 500])
def test_the_fix_of_a_refusal_does_not_depend_on_its_status(status: int) -> None:
    why = 'failed calling webhook "a.example.com": context deadline exceeded'
    error = to_kube_error("POST", "/api/v1/pods", status, json.dumps({"message": why}))
    assert "pods of this webhook" in error.problems[0].hint


def test_replacing_a_stale_version_is_a_conflict(session: Session) -> None:
    client = session.client()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    first = client.create(CONFIG_MAP, body, "default")
    client.replace(CONFIG_MAP, first | {"data": {"x": "2"}}, "default")
    with pytest.raises(KubeConflict):
        client.replace(CONFIG_MAP, first | {"data": {"x": "3"}}, "default")


@pytest.mark.kind("A12")
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "restarting", "times": 1000},
        {"fault": "status", "status": 503, "times": 1000},
        {"fault": "status", "status": 500, "times": 1000},
    ],
    ids=["refuses connections", "busy", "fails"],
)
@pytest.mark.parametrize("answered", [False, True])
def test_a_client_with_a_limit_gives_up_within_it(
    session: Session, fault: dict[str, Any], answered: bool
) -> None:
    client = session.client().with_limit(18)
    if answered:
        assert client.list(NODE)
    session.api.faults.add(fault)
    with pytest.raises(KubeError):
        client.list(NODE)
    assert session.clock.seconds <= 18
