"""Server-side apply, strategic merges and protobuf bodies; kubectl and helm rely on them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import urllib3

from aws_setup.rehearsal.kubernetes.api import protobuf
from aws_setup.rehearsal.kubernetes.api.errors import ApiError
from aws_setup.rehearsal.kubernetes.api.field_managers import apply_configuration
from aws_setup.rehearsal.kubernetes.api.patches import strategic_merge
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import core, tool


def apply(
    api: KubeApiServer, manager: str, data: dict[str, str], *, force: bool = False
) -> tuple[int, Any]:
    query = f"fieldManager={manager}&force={str(force).lower()}"
    pool = urllib3.PoolManager(ca_cert_data=api.ca_pem)
    answer = pool.request(
        "PATCH",
        f"{api.url}/api/v1/namespaces/default/configmaps/c?{query}",
        headers={
            "Authorization": "Bearer any",
            "Content-Type": "application/apply-patch+yaml",
        },
        body=json.dumps(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}
        ),
    )
    found = answer.json()
    return answer.status, found.get("data", found.get("message"))


def test_apply_creates_changes_and_drops_its_fields(kube: KubeApiServer) -> None:
    assert apply(kube, "one", {"a": "1", "b": "1"}) == (201, {"a": "1", "b": "1"})
    core(kube).patch_namespaced_config_map("c", "default", {"data": {"other": "x"}})
    assert apply(kube, "one", {"a": "2"}) == (200, {"a": "2", "other": "x"})


def test_apply_conflicts_over_another_managers_field_unless_forced(kube: KubeApiServer) -> None:
    apply(kube, "one", {"a": "1"})
    assert apply(kube, "two", {"a": "1"})[0] == 200
    code, message = apply(kube, "two", {"a": "2"})
    assert (code, '"one": .data.a' in message) == (409, True)
    assert apply(kube, "two", {"a": "2"}, force=True) == (200, {"a": "2"})
    assert apply(kube, "one", {}) == (200, {"a": "2"})


def test_strategic_merges_use_the_merge_key() -> None:
    before = {
        "containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b", "image": "1"}],
        "tolerations": [{"key": "old"}],
        "finalizers": ["f"],
    }
    patch = {
        "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}],
        "tolerations": [{"key": "new"}],
        "$deleteFromPrimitiveList/finalizers": ["f"],
    }
    assert strategic_merge(before, patch) == {
        "containers": [{"name": "a", "image": "2", "args": ["x"]}],
        "tolerations": [{"key": "new"}],
        "finalizers": [],
    }
    assert strategic_merge({"spec": {"a": 1}}, {"spec": {"$patch": "replace", "b": 2}}) == {
        "spec": {"b": 2}
    }


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def envelope(kind: str, message: bytes) -> bytes:
    named = field(1, b"v1") + field(2, kind.encode())
    return protobuf.MAGIC + field(1, named) + field(2, message)


def test_protobuf_secrets_are_read() -> None:
    label = field(1, b"owner") + field(2, b"helm")
    meta = field(1, b"name") + field(3, b"space") + field(11, label)
    data = field(1, b"release") + field(2, b"\x00\xff")
    message = field(1, meta) + field(2, data) + field(3, b"helm.sh/release.v1")
    assert protobuf.decode_protobuf(envelope("Secret", message)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "name", "namespace": "space", "labels": {"owner": "helm"}},
        "data": {"release": "AP8="},
        "type": "helm.sh/release.v1",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", 415),
        (envelope("Pod", field(1, b"")), 415),
        (envelope("Secret", b"")[:-3], 400),
    ],
)
def test_unreadable_protobuf_is_rejected(body: bytes, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        protobuf.decode_protobuf(body)
    assert caught.value.code == code


def test_kubectl_applies_reads_and_deletes(kube: KubeApiServer, tmp_path: Path) -> None:
    settings = tmp_path / "kubeconfig"
    settings.write_text(json.dumps(kube.kubeconfig()))

    def kubectl(*arguments: str, body: Any = None) -> str:
        done = subprocess.run(
            [str(tool("kubectl", "3.17")), "--kubeconfig", str(settings), *arguments],
            input=json.dumps(body) if body else None,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
    kubectl("apply", "--server-side", "-f", "-", body=pod)
    get_phases = ("get", "pods", "-l", "a=b", "-o", "jsonpath={.items[*].status.phase}")
    assert kubectl(*get_phases) == "Running"
    assert "running" in kubectl("logs", "p")
    assert kubectl("auth", "can-i", "delete", "pods").strip() == "yes"
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=200s")
    kubectl("delete", "pod", "p", "--timeout=200s")
    assert kubectl(*get_phases) == ""


def test_an_entry_that_is_no_longer_applied_goes_with_its_defaults() -> None:
    entry: tuple[str, ...] = ("spec", "initContainers", "[name=wait]")
    current: Any = {
        "spec": {
            "initContainers": [{"name": "wait", "image": "busybox", "imagePullPolicy": "Always"}],
            "containers": [{"name": "main", "image": "main"}],
        }
    }
    applied: Any = {"spec": {"containers": [{"name": "main", "image": "main"}]}}
    dropped = {(*entry, "name"), (*entry, "image")}
    assert apply_configuration(current, applied, dropped) == applied
