"""The emulated API server answers the official client as Kubernetes does."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest
import urllib3
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import connect, core


def config_map(name: str, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **meta}, "data": {"a": "1"}}


def refusal(call: Any, *arguments: Any, **named: Any) -> tuple[int, str]:
    with pytest.raises(ApiException) as caught:
        call(*arguments, **named)
    assert isinstance(caught.value.status, int)
    return caught.value.status, str(caught.value.body)


def test_the_ca_must_be_trusted(kube: KubeApiServer) -> None:
    pool = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", retries=False)
    with pytest.raises(urllib3.exceptions.SSLError):
        pool.request("GET", kube.url + "/version")


def test_a_wrong_token_is_401(kube: KubeApiServer) -> None:
    wrong = client.CoreV1Api(connect(kube, token="wrong"))
    assert refusal(wrong.list_namespace)[0] == 401


def test_a_write_on_an_old_version_conflicts(kube: KubeApiServer) -> None:
    v1 = core(kube)
    first = v1.create_namespaced_config_map("default", config_map("c"))
    v1.patch_namespaced_config_map("c", "default", {"data": {"a": "2"}})
    first.data = {"a": "3"}
    status, body = refusal(v1.replace_namespaced_config_map, "c", "default", first)
    assert status == 409
    assert "the object has been modified" in body
    assert v1.read_namespaced_config_map("c", "default").data == {"a": "2"}


def test_an_unchanged_write_keeps_the_version(kube: KubeApiServer) -> None:
    v1 = core(kube)
    first = v1.create_namespaced_config_map("default", config_map("c"))
    again = v1.replace_namespaced_config_map("c", "default", first)
    assert again.metadata.resource_version == first.metadata.resource_version


def test_invalid_creations_are_rejected(kube: KubeApiServer) -> None:
    v1 = core(kube)
    v1.create_namespaced_config_map("default", config_map("c"))
    create = v1.create_namespaced_config_map
    assert refusal(create, "default", config_map("c"))[0] == 409
    assert refusal(create, "nowhere", config_map("c"))[0] == 404
    assert refusal(create, "default", config_map("Bad_Name"))[0] == 422
    assert create("default", {"metadata": {"generateName": "x-"}}).metadata.name.startswith("x-")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("role=core", ["core-0"]),
        ("role!=core", ["plain", "third"]),
        ("role in (core, invoker)", ["core-0", "third"]),
        ("role notin (core)", ["plain", "third"]),
        ("!role", ["plain"]),
        ("role", ["core-0", "third"]),
    ],
)
def test_label_selectors(kube: KubeApiServer, selector: str, names: list[str]) -> None:
    v1 = core(kube)
    for name, labels in (("core-0", {"role": "core"}), ("plain", {}), ("third", {"role": "x"})):
        v1.create_namespaced_service_account(
            "default", {"metadata": {"name": name, "labels": {"all": "1"} | labels}}
        )
    v1.patch_namespaced_service_account(
        "third", "default", {"metadata": {"labels": {"role": "invoker"}}}
    )
    found = v1.list_namespaced_service_account("default", label_selector=f"all,{selector}").items
    assert [item.metadata.name for item in found] == names


def test_field_selectors(kube: KubeApiServer) -> None:
    found = core(kube).list_node(field_selector="metadata.name=invoker-1").items
    assert [item.metadata.name for item in found] == ["invoker-1"]
    assert refusal(core(kube).list_node, field_selector="nonsense")[0] == 400


def test_tls_secrets_need_both_parts_and_valid_base64(kube: KubeApiServer) -> None:
    v1 = core(kube)
    secret: dict[str, Any] = {"metadata": {"name": "s"}, "type": "kubernetes.io/tls"}
    half = secret | {"stringData": {"tls.crt": "x"}}
    status, body = refusal(v1.create_namespaced_secret, "default", half)
    assert status == 422
    assert "tls.key" in body
    broken = secret | {"data": {"tls.crt": "?", "tls.key": "?"}}
    assert refusal(v1.create_namespaced_secret, "default", broken)[0] == 400
    both = secret | {"stringData": {"tls.crt": "x", "tls.key": "y"}}
    kept = v1.create_namespaced_secret("default", both)
    assert base64.b64decode(kept.data["tls.key"]) == b"y"
    kept.type = "Opaque"
    assert refusal(v1.replace_namespaced_secret, "s", "default", kept)[0] == 422


def test_a_watch_has_the_changes_and_ends_after_its_timeout(kube: KubeApiServer) -> None:
    v1 = core(kube)
    v1.create_namespaced_config_map("default", config_map("first", labels={"w": "1"}))

    def later() -> None:
        v1.create_namespaced_config_map("default", config_map("second", labels={"w": "1"}))
        v1.create_namespaced_config_map("default", config_map("other"))
        v1.delete_namespaced_config_map("first", "default")

    writer = threading.Timer(0.2, later)
    writer.start()
    events = watch.Watch().stream(
        core(kube).list_namespaced_config_map, "default", label_selector="w=1", timeout_seconds=1
    )
    seen = [(event["type"], event["object"].metadata.name) for event in events]
    writer.join()
    assert seen == [("ADDED", "first"), ("ADDED", "second"), ("DELETED", "first")]


def test_a_watch_from_a_version_out_of_the_history_is_410(kube: KubeApiServer) -> None:
    del kube.state.changes[:5]
    stream = watch.Watch().stream(
        core(kube).list_namespaced_config_map, "default", resource_version="1", timeout_seconds=1
    )
    assert refusal(list, stream)[0] == 410


def test_a_status_is_written_by_its_subresource_only(kube: KubeApiServer) -> None:
    v1 = core(kube)
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    v1.create_namespaced_service("default", service)
    fake = {"status": {"loadBalancer": {"ingress": [{"hostname": "h"}]}}}
    assert not v1.patch_namespaced_service("s", "default", fake).status.load_balancer.ingress
    after = v1.patch_namespaced_service_status("s", "default", fake)
    assert after.status.load_balancer.ingress[0].hostname == "h"


def test_a_deleted_namespace_deletes_its_objects(kube: KubeApiServer) -> None:
    v1 = core(kube)
    v1.create_namespace({"metadata": {"name": "n"}})
    v1.create_namespaced_config_map("n", config_map("c"))
    v1.delete_namespace("n")
    assert "n" not in [item.metadata.name for item in v1.list_namespace().items]
    assert ("configmaps", "n", "c") not in kube.state.objects


def test_patches_of_every_kind(kube: KubeApiServer) -> None:
    v1 = core(kube)
    v1.create_namespaced_config_map("default", config_map("c"))
    patch = v1.patch_namespaced_config_map
    added = [{"op": "add", "path": "/metadata/annotations", "value": {"b/c": "2"}}]
    assert patch("c", "default", added).metadata.annotations == {"b/c": "2"}
    assert refusal(patch, "c", "default", [{"op": "remove", "path": "/data/zz"}])[0] == 422
    dropped = [{"op": "remove", "path": "/metadata/annotations/b~1c"}]
    assert patch("c", "default", dropped).metadata.annotations is None
    assert patch("c", "default", {"data": {"a": None, "b": "2"}}).data == {"b": "2"}
