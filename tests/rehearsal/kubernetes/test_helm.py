"""Real helm 3 and 4 install, upgrade, roll back and remove a chart on the emulated API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws_setup.rehearsal.demo.helm import CHART
from aws_setup.rehearsal.kubernetes.server import KubeApiServer
from tests.support.kube import HELM, core, tool

SPACE = "openwhisk"
REPLICAS = "invoker.containerFactory.kubernetes.replicaCount=2"


@dataclass(frozen=True)
class Helm:
    """One helm program with one API server."""

    program: Path
    config: Path
    major: int

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(self.program), "--kubeconfig", str(self.config), "-n", SPACE, *arguments]
        # PATH, and the limit above which tests let helm collect garbage.
        kept = {name: os.environ[name] for name in ("PATH", "GOGC", "GOMEMLIMIT")}
        environment = {"HOME": str(self.config.parent), **kept}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def ok(self, *arguments: str) -> str:
        code, out, err = self.run(*arguments)
        assert code == 0, err
        return out

    def install(self, *arguments: str) -> str:
        return self.ok(
            "upgrade",
            "--install",
            "--create-namespace",
            "owdev",
            str(CHART),
            "--set",
            REPLICAS,
            *arguments,
        )

    def status(self) -> str:
        found: dict[str, Any] = json.loads(self.ok("status", "owdev", "-o", "json"))
        return str(found["info"]["status"])


@pytest.fixture(params=sorted(HELM))
def helm(request: pytest.FixtureRequest, kube: KubeApiServer, tmp_path: Path) -> Helm:
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps(kube.kubeconfig()))
    config.chmod(0o600)
    return Helm(tool("helm", request.param), config, int(request.param[0]))


INTERNAL = "service.beta.kubernetes.io/aws-load-balancer-internal"


def annotation(kube: KubeApiServer) -> str | None:
    """Return what the Service says of an internal load balancer."""
    service = core(kube).read_namespaced_service("owdev-nginx", SPACE)
    found: str | None = service.metadata.annotations.get(INTERNAL)
    return found


def test_install_wait_upgrade_remove_rollback_uninstall(helm: Helm, kube: KubeApiServer) -> None:
    helm.install("--wait", "--timeout", "60s")
    assert helm.status() == "deployed"
    v1 = core(kube)
    assert len(v1.list_namespaced_persistent_volume_claim(SPACE).items) == 7
    invokers = v1.list_namespaced_pod(SPACE, label_selector="name=owdev-invoker").items
    assert sorted(invoker.spec.node_name for invoker in invokers) == ["invoker-0", "invoker-1"]
    helm.install("--set", "whisk.ingress.apiHostName=real.example.com")
    read = v1.read_namespaced_config_map
    assert read("owdev-whisk.config", SPACE).data["whisk_api_host_name"] == "real.example.com"
    assert annotation(kube) == "0.0.0.0/0"
    escaped = INTERNAL.replace(".", "\\.")
    helm.install("--set", f"whisk.ingress.annotations.{escaped}=null")
    assert annotation(kube) is None, "a null value removes it"
    helm.ok("rollback", "owdev", "1")
    host = read("owdev-whisk.config", SPACE).data["whisk_api_host_name"]
    assert (host, annotation(kube)) == ("default.example.com", "0.0.0.0/0")
    helm.ok("uninstall", "owdev")
    assert v1.list_namespaced_pod(SPACE).items == []
    assert v1.list_namespaced_secret(SPACE).items == []
    assert v1.list_persistent_volume().items == []


def test_a_killed_install_is_pending_until_it_is_removed(helm: Helm, kube: KubeApiServer) -> None:
    kube.faults.add({"fault": "image-pull", "pod": "owdev-nginx*"})
    process = helm.start(
        "install",
        "owdev",
        str(CHART),
        "--create-namespace",
        "--set",
        REPLICAS,
        "--wait",
        "--timeout",
        "90s",
    )
    deadline = time.monotonic() + 240
    while ("services", SPACE, "owdev-nginx") not in kube.state.objects:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=240)
    assert helm.status() == "pending-install"
    code, _, err = helm.run("upgrade", "--install", "owdev", str(CHART))
    assert code != 0
    assert "another operation" in err
    helm.ok("uninstall", "owdev")
    kube.faults.clear()
    helm.install("--wait", "--timeout", "60s")
    assert helm.status() == "deployed"


def a_killed_upgrade_is_rolled_back(helm: Helm, kube: KubeApiServer) -> None:
    kube.faults.add({"fault": "image-pull", "pod": "owdev-nginx*"})
    process = helm.start(
        "upgrade",
        "owdev",
        str(CHART),
        "--set",
        REPLICAS,
        "--wait",
        "--set",
        "whisk.ingress.apiHostName=new.example.com",
    )
    name = ("secrets", SPACE, "sh.helm.release.v1.owdev.v2")
    deadline = time.monotonic() + 240
    while name not in kube.state.objects:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=240)
    kube.faults.clear()
    assert helm.status() == "pending-upgrade"
    helm.ok("rollback", "owdev", "1", "--wait", "--timeout", "60s")
    assert helm.status() == "deployed"
    data = core(kube).read_namespaced_config_map("owdev-whisk.config", SPACE).data
    assert data["whisk_api_host_name"] == "default.example.com"


def a_field_changed_by_another_conflicts_on_helm_4(helm: Helm, kube: KubeApiServer) -> None:
    patch = {"data": {"whisk_api_host_name": "by-hand.example.com"}}
    core(kube).patch_namespaced_config_map("owdev-whisk.config", SPACE, patch)
    change = (
        "upgrade",
        "owdev",
        str(CHART),
        "--set",
        REPLICAS,
        "--set",
        "whisk.ingress.apiHostName=new.example.com",
    )
    code, _, err = helm.run(*change)
    if helm.major >= 4:
        assert code != 0
        assert "conflict" in err
        helm.ok(*change, "--force-conflicts")
    data = core(kube).read_namespaced_config_map("owdev-whisk.config", SPACE).data
    assert data["whisk_api_host_name"] == "new.example.com"


def a_changed_job_template_fails_until_the_job_is_deleted(helm: Helm, kube: KubeApiServer) -> None:
    change = (
        "upgrade",
        "owdev",
        str(CHART),
        "--set",
        REPLICAS,
        "--set",
        "whisk.limits.actions.memory.max=50000m",
    )
    code, _, err = helm.run(*change)
    assert code != 0
    assert "field is immutable" in err
    assert helm.status() == "failed"
    for job in [item["metadata"]["name"] for item in kube.state.all("jobs", SPACE)]:
        kube.state.remove("jobs", kube.state.require("jobs", job, SPACE))
    helm.ok(*change)
    assert helm.status() == "deployed"


def test_upgrades_that_fail_and_how_each_goes_on(helm: Helm, kube: KubeApiServer) -> None:
    """One release has all of them: an installation takes a second, with each of three helms."""
    helm.install("--wait", "--timeout", "60s")
    a_killed_upgrade_is_rolled_back(helm, kube)
    a_field_changed_by_another_conflicts_on_helm_4(helm, kube)
    a_changed_job_template_fails_until_the_job_is_deleted(helm, kube)
