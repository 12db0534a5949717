"""The emulated API server answers as strictly as Kubernetes 1.36 does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests import regenerate_kubernetes_schema
from tests.regenerate_kubernetes_schema import PATH
from tests.rehearsal.kubernetes.requests_everyday import BEFORE, EVERYDAY
from tests.rehearsal.kubernetes.requests_of_kinds import CHANGES, KINDS, QUERIES
from tests.rehearsal.kubernetes.requests_table import (
    APPLY,
    APPS,
    BATCH,
    CLAIMS,
    CM,
    CORE,
    EXISTING,
    JOBS,
    MERGE,
    NAMES,
    PODS,
    SCHEMA,
    SECRETS,
    SERVICES,
    SPACE,
    SURVIVED,
    Row,
    applied,
    claim,
    job,
    named,
    pod_spec,
    service,
    workload,
)
from tests.support.kube import furnish

ROWS = [*SURVIVED, *SCHEMA, *NAMES, *KINDS, *CHANGES, *QUERIES, *EVERYDAY]
DOCUMENT = Path(__file__).parents[3] / "docs" / "rehearsal.md"
NOW: dict[str, Any] = {"metadata": {"name": "now"}, "provisioner": "ebs.csi.aws.com"}
FIXED: dict[str, Any] = {"metadata": {"name": "fixed"}, "provisioner": "ebs.csi.aws.com"}
Send = Any
"""Sends a row: the answer's status, headers and text."""


@pytest.fixture(scope="module")
def api() -> Iterator[KubeApiServer]:
    """Serve one cluster to all requests."""
    with KubeApiServer() as server:
        furnish(server)
        server.state.put("storageclasses", NOW | {"allowVolumeExpansion": True})
        server.state.put("storageclasses", FIXED)
        yield server


@pytest.fixture(scope="module")
def sent(api: KubeApiServer) -> Send:
    """Return a function that sends a request: (answer's status, headers, text)."""
    pool = urllib3.PoolManager(ca_cert_data=api.ca_pem, retries=False)

    def send(row: Row) -> tuple[int, Any, str]:
        headers = {"Authorization": "Bearer any", "Content-Type": row.content} | row.headers
        answer = pool.request(row.method, api.url + row.path, body=row.raw, headers=headers)
        return answer.status, answer.headers, answer.data.decode()

    for path, body in EXISTING:
        status, _, text = send(Row(path, "POST", path, 201, body=body))
        assert status == 201, text
    for method, path, more in BEFORE:
        content = APPLY if method == "PATCH" else "application/json"
        status, _, text = send(Row(method, method, path, 200, body=more, content=content))
        assert status < 300, text
    return send


@dataclass(frozen=True)
class Answer:
    """What a row got, and the errors of the server meanwhile."""

    status: int
    reason: str
    text: str
    internal_errors: list[str]


@pytest.fixture(scope="module")
def answers(sent: Send, api: KubeApiServer) -> dict[str, Answer]:
    """Send all rows, of which some need what others have made: title -> answer."""
    found: dict[str, Answer] = {}
    for row in ROWS:
        before = len(api.internal_errors)
        status, _, text = sent(row)
        reason = json.loads(text).get("reason", "") if row.reason else row.reason
        found[row.title] = Answer(status, reason, text, list(api.internal_errors)[before:])
    return found


@pytest.fixture(scope="module")
def send(sent: Send, answers: dict[str, Answer]) -> Send:
    """Return what sends a request, after all rows: so in any order of the tests."""
    assert answers
    return sent


def read(send: Send, path: str, body: Any = None, method: str = "", **more: Any) -> Any:
    """Send a request that succeeds; returns the answer's object."""
    row = Row(path, method or ("GET" if body is None else "POST"), path, 200, body=body, **more)
    status, _, text = send(row)
    assert status < 300, text
    return json.loads(text)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title.replace(" ", "-"))
def test_a_request_gets_the_real_status_and_reason(row: Row, answers: dict[str, Answer]) -> None:
    found = answers[row.title]
    assert (found.status, found.reason) == (row.status, row.reason), found.text
    assert row.text in found.text
    assert found.internal_errors == []


COMPARED = re.compile(r"(\d+) of (\d+) requests .* get the status and the reason of a real")


def test_the_documented_number_of_requests_gets_the_real_status_and_reason(
    answers: dict[str, Answer],
) -> None:
    pairs = [(answers[row.title], row) for row in ROWS]
    same = sum((got.status, got.reason) == (row.status, row.reason) for got, row in pairs)
    compared = len(ROWS)
    assert compared >= 276
    assert same * 276 >= 260 * compared
    # The numbers of docs/rehearsal.md.
    found = COMPARED.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found, "docs/rehearsal.md names the number of compared requests"
    assert (int(found[1]), int(found[2])) == (same, compared)


def test_the_rows_have_titles_of_their_own() -> None:
    assert len({row.title for row in ROWS}) == len(ROWS)


def test_unknown_fields_are_dropped_with_a_warning(send: Send) -> None:
    body = named("loose", dat={}, data={"a": "1"})
    status, headers, text = send(Row("", "POST", CM, 201, body=body))
    assert (status, headers["Warning"]) == (201, '299 - "unknown field \\"dat\\""')
    assert "dat" not in json.loads(text)


@pytest.mark.parametrize("field", ["data", "metadata.labels", "metadata.annotations"])
def test_a_null_in_a_map_of_texts_is_an_empty_text(send: Send, field: str) -> None:
    holder, _, key = field.rpartition(".")
    name = f"null-{key}"
    body = named(name, meta={key: {"a": None}}) if holder else named(name, data={"a": None})
    kept = read(send, CM, body)
    assert (kept["metadata"] if holder else kept)[key] == {"a": ""}


def test_a_secret_whose_certificate_does_not_fit_is_stored_with_a_warning(send: Send) -> None:
    body = named("tls-odd", type="kubernetes.io/tls", stringData={"tls.crt": "x", "tls.key": "y"})
    status, headers, _ = send(Row("", "POST", SECRETS, 201, body=body))
    assert (status, "failed to find any PEM data" in headers["Warning"]) == (201, True)


def test_quantities_are_canonical(send: Send) -> None:
    limits = {"cpu": 0.5, "memory": "2048Mi"}
    spec = pod_spec(container={"resources": {"limits": limits}})
    held = read(send, PODS, named("sized", spec=spec))["spec"]["containers"][0]["resources"]
    assert held["limits"] == held["requests"] == {"cpu": "500m", "memory": "2Gi"}


def test_the_defaults_are_filled_in(send: Send) -> None:
    balanced = read(send, SERVICES, service("with-balancer", type="LoadBalancer"))["spec"]
    assert balanced["ports"][0].items() >= {"protocol": "TCP", "targetPort": 80}.items()
    assert 30000 <= balanced["ports"][0]["nodePort"] < 32768
    container = read(send, PODS, named("defaulted", spec=pod_spec()))["spec"]["containers"][0]
    assert container["imagePullPolicy"] == "IfNotPresent"
    made = read(send, JOBS, job("defaulted"))
    label = {"batch.kubernetes.io/controller-uid": made["metadata"]["uid"]}
    assert made["spec"]["selector"] == {"matchLabels": label}
    assert label.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    space = read(send, f"{CORE}/namespaces", named("defaulted"))
    assert space["metadata"]["labels"] == {"kubernetes.io/metadata.name": "defaulted"}
    held = read(send, CLAIMS, claim("defaulted"))["spec"]
    assert (held["volumeMode"], held["storageClassName"]) == ("Filesystem", "gp3")


def test_an_update_of_an_object_without_defaults_is_no_change_of_them(
    send: Send, api: KubeApiServer
) -> None:
    stored = workload("bare")
    stored["metadata"]["namespace"] = "default"
    kept = api.state.put("statefulsets", stored)
    path = f"{APPS}/namespaces/default/statefulsets/bare"
    labels = {"metadata": {"labels": {"new": "1"}}}
    after = read(send, path, labels, "PATCH", content=MERGE)
    assert after["metadata"]["generation"] == kept["metadata"]["generation"]


def test_a_dying_object_keeps_its_name_and_gets_no_new_finalizer(send: Send) -> None:
    path = f"{CM}/held"
    assert "deletionTimestamp" in read(send, path, method="DELETE")["metadata"]
    status, _, text = send(Row("", "POST", CM, 409, body=named("held")))
    assert (status, 'object is being deleted: configmaps \\"held\\" already' in text) == (409, True)
    added = {"metadata": {"finalizers": ["example.com/keep", "example.com/new"]}}
    status, _, text = send(Row("", "PATCH", path, 422, body=added, content=MERGE))
    assert (status, "no new finalizers can be added" in text) == (422, True)
    read(send, path, {"metadata": {"finalizers": None}}, "PATCH", content=MERGE)
    assert send(Row("", "GET", path, 404))[0] == 404


def test_a_job_keeps_its_pods_unless_the_deletion_says_otherwise(
    send: Send, api: KubeApiServer
) -> None:
    pods = {}
    for name, query in (("kept", ""), ("gone", "?propagationPolicy=Background")):
        read(send, JOBS, job(name))
        _, headers, _ = send(Row("", "DELETE", f"{JOBS}/{name}{query}", 200))
        pods[name] = [
            item for item in api.state.all("pods") if f"{name}-" in item["metadata"]["name"]
        ]
        assert ("Warning" in headers) == (not query)
    assert (len(pods["kept"]), pods["gone"]) == (1, [])


def test_a_list_comes_in_pages_and_without_kinds(send: Send) -> None:
    whole = read(send, CM)["items"]
    assert not {"kind", "apiVersion"} & whole[0].keys()
    names: list[str] = []
    token = ""
    while True:
        found = read(send, f"{CM}?limit=2&continue={token}")
        assert len(found["items"]) <= 2
        names += [item["metadata"]["name"] for item in found["items"]]
        token = found["metadata"].get("continue", "")
        if not token:
            break
    assert names == [item["metadata"]["name"] for item in whole]


def test_the_status_names_kind_group_and_the_causes_reason(send: Send) -> None:
    body = job("bad", backoffLimit=-1, template={"spec": pod_spec(restartPolicy="Maybe")})
    details = json.loads(send(Row("", "POST", JOBS, 422, body=body))[2])["details"]
    assert (details["kind"], details["group"], details["name"]) == ("Job", "batch", "bad")
    reasons = {cause["field"]: cause["reason"] for cause in details["causes"]}
    assert reasons["spec.backoffLimit"] == "FieldValueInvalid"
    assert reasons["spec.template.spec.restartPolicy"] in {
        "FieldValueNotSupported",
        "FieldValueRequired",
    }
    missing = json.loads(send(Row("", "GET", f"{JOBS}/none", 404))[2])["details"]
    assert missing == {"name": "none", "group": "batch", "kind": "jobs"}


def test_deletions_answer_with_a_status_or_with_the_object(send: Send) -> None:
    read(send, CM, named("goes"))
    status = read(send, f"{CM}/goes", method="DELETE")
    assert (status["kind"], status["details"]["kind"]) == ("Status", "configmaps")
    read(send, "/apis/storage.k8s.io/v1/storageclasses", named("goes", provisioner="p"))
    path = "/apis/storage.k8s.io/v1/storageclasses/goes"
    assert read(send, path, method="DELETE")["kind"] == "StorageClass"
    read(send, f"{BATCH}/namespaces/default/jobs", job("goes"))
    assert read(send, f"{JOBS}/goes", method="DELETE")["kind"] == "Job"


def test_an_event_is_the_same_in_both_groups(send: Send) -> None:
    about = {"namespace": "default", "kind": "Pod", "name": "p"}
    read(send, f"{SPACE}/events", named("both", involvedObject=about, message="m"))
    path = "/apis/events.k8s.io/v1/namespaces/default/events/both"
    held = read(send, path)
    assert (held["apiVersion"], held["note"]) == ("events.k8s.io/v1", "m")
    assert held["regarding"] == about


def test_server_side_apply_names_what_the_schema_lacks(send: Send) -> None:
    path = f"{APPS}/namespaces/default/deployments/d?fieldManager=m"
    body = applied("Deployment", "d", "apps/v1", spec={"replica": 1})
    row = Row("", "PATCH", path, 500, body=body, content=APPLY)
    status, _, text = send(row)
    assert status == 500
    assert json.loads(text)["message"] == (
        "failed to create typed patch object (d; apps/v1, Kind=Deployment): .spec.replica: field "
        "not declared in schema"
    )


def test_the_schema_is_that_of_the_installed_client() -> None:
    command = "run python -m tests.regenerate_kubernetes_schema"
    assert regenerate_kubernetes_schema.text() == PATH.read_text(encoding="utf-8"), command


def test_an_object_that_its_controller_cannot_handle_stops_no_other(
    send: Send, api: KubeApiServer
) -> None:
    for plural in ("persistentvolumeclaims", "pods", "services", "statefulsets", "jobs"):
        meta = {"name": "0-broken", "namespace": "default"}
        api.state.put(plural, {"metadata": meta, "spec": {"containers": [{}], "type": 5}})
    read(send, CLAIMS, claim("later", storageClassName="now"))
    read(send, f"{APPS}/namespaces/default/deployments", workload("later"))
    assert read(send, f"{CLAIMS}/later")["status"]["phase"] == "Bound"
    path = f"{APPS}/namespaces/default/deployments/later"
    assert read(send, path)["status"]["readyReplicas"] == 1
    assert any("0-broken" in text for text in api.controllers.context.failures)
    for plural in ("persistentvolumeclaims", "pods", "services", "statefulsets", "jobs"):
        if held := api.state.get(plural, "0-broken", "default"):
            api.state.remove(plural, held)
