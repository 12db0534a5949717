"""Real kubectl prints the emulated cluster as it prints a real one."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.rehearsal.kubernetes.requests_table import job, named, pod_spec, workload
from tests.support.kube import core, pass_time, tool

Kubectl = Callable[..., str]


def kubectl_of(api: KubeApiServer, folder: Path, version: str) -> Kubectl:
    """Return a function that runs kubectl on a cluster; its output, errors included."""
    settings = folder / "kubeconfig"
    settings.write_text(json.dumps(api.kubeconfig()))
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "COLUMNS": "80"}

    def run(*arguments: str, body: Any = None) -> str:
        done = subprocess.run(
            [str(tool("kubectl", version)), "--kubeconfig", str(settings), *arguments],
            input=json.dumps(body) if body else None,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env=environment,
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("version", ["3.17", "4.3"])
def test_kubectl_prints_columns_and_asks_who_it_is(
    kube: KubeApiServer, tmp_path: Path, version: str
) -> None:
    run = kubectl_of(kube, tmp_path, version)
    core(kube).create_namespaced_pod("default", named("p", spec=pod_spec()))
    lines = run("get", "pods", "-A").splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert re.fullmatch(r"default +p +1/1 +Running +0 +\d+s", lines[1])
    assert max(map(len, lines)) <= 80
    storage = run("get", "storageclass")
    assert "gp3" in storage
    assert "WaitForFirstConsumer" in storage
    assert "Service Account:  default" in run("describe", "pod", "p")
    assert run("auth", "can-i", "get", "pods").strip() == "yes"
    assert "kubernetes-admin" in run("auth", "whoami")
    assert "FIELD: image <string>" in run("explain", "pod.spec.containers.image")
    assert run("create", "token", "default").count(".") == 2


@pytest.mark.parametrize("version", ["3.17", "4.3"])
def test_kubectl_apply_is_told_of_unknown_fields(
    kube: KubeApiServer, tmp_path: Path, version: str
) -> None:
    run = kubectl_of(kube, tmp_path, version)
    body = {"apiVersion": "apps/v1", "kind": "Deployment"} | workload("d")
    wrong = body | {"spec": body["spec"] | {"replica": 2}}
    assert 'unknown field "spec.replica"' in run("apply", "-f", "-", body=wrong)
    assert "deployment.apps/d created" in run("apply", "-f", "-", body=body)
    assert "deployment.apps/d unchanged" in run("apply", "-f", "-", body=body)
    assert 'unknown field "spec.replica"' in run("apply", "-f", "-", body=wrong)
    shown = run("apply", "--server-side", "-f", "-", body=wrong)
    assert ".spec.replica: field not declared in schema" in shown


def test_ages_follow_the_clock_of_the_cluster(slow_kube: KubeApiServer, tmp_path: Path) -> None:
    run = kubectl_of(slow_kube, tmp_path, "4.3")
    pass_time(slow_kube, 3600)
    core(slow_kube).create_namespaced_pod("default", named("p", spec=pod_spec()))
    run("create", "-f", "-", body={"apiVersion": "batch/v1", "kind": "Job"} | job("j"))
    pass_time(slow_kube, 7500)
    shown = run("get", "pods,jobs,nodes,events,namespaces")
    assert "<invalid>" not in shown
    assert re.search(r"pod/p +1/1 +Running +0 +125m", shown)
    assert re.search(r"node/core-0 +Ready +<none> +3h5m", shown)
