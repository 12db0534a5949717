"""`serve` from another terminal: scripts, ssh and kubectl; two servers are independent."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.demo import ROOT, Run, started
from tests.support.eks_tokens import sign
from tests.support.kube import tool
from tests.support.machines import needs_machines
from tests.support.script_runs import run_script

pytestmark = [pytest.mark.timeout(300), needs_machines]


class Terminal:
    """Another terminal, in which the exports of a `serve` were pasted."""

    def __init__(self, run: Run, home: Path) -> None:
        run.until("kubectl get nodes")
        exported = re.findall(r"^export (\w+)=(.*)$", run.text, re.MULTILINE)
        self.set = {name: value for name, value in exported if name != "PATH"}
        self.environment = os.environ | self.set | {"HOME": str(home)}
        for folder in re.findall(r'^export PATH="(.*):\$PATH"$', run.text, re.MULTILINE):
            self.put_first(Path(folder))
        (self.config,) = set(re.findall(r"-y (\S+/config_aws\.yaml)", run.text))
        self.ssh = shlex.split(next(line for line in run.lines if line.startswith("ssh -F")))

    def put_first(self, folder: Path) -> None:
        """Prepend a folder to PATH."""
        self.environment["PATH"] = f"{folder}{os.pathsep}{self.environment['PATH']}"

    def do(self, *command: str) -> str:
        """Run a command and return its output; it must succeed."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def script(self, name: str, *words: str) -> dict[str, object]:
        """Run a script and return its document."""
        command = (name, *words, "-y", self.config, "--yes", "--json")
        # At the exported pace, 0, the machines are asked 50 times a second.
        environment = self.environment | {"AWS_SETUP_PACE": "0.1"}
        done = run_script(*command, folder=ROOT, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def resources(self) -> list[str]:
        """Return the kinds of the resources in this terminal's cloud."""
        url = f"{self.set['AWS_ENDPOINT_URL']}/_rehearsal/snapshot"
        with urllib.request.urlopen(url, timeout=240) as answer:
            return [resource["kind"] for resource in json.load(answer)]


def test_scripts_ssh_and_kubectl_work_beside_another_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    with (
        started(tmp_path / "one", "serve", "--speed", "0") as first,
        started(tmp_path / "two", "serve", "--speed", "0", "--imitate-machines") as second,
    ):
        first_terminal, second_terminal = Terminal(first, home), Terminal(second, home)
        made = first_terminal.script("create_aws_infrastructure.py", "create")
        assert made["result"] == "ok"
        assert second_terminal.resources() == ["key-pair"], "the clouds are independent"

        assert first_terminal.do(*first_terminal.ssh, "hostname").strip() == "ip-10-0-8-233"

        configured = first_terminal.script(
            "configure_eks_cluster.py", "configure", "--skip-storage-probe"
        )
        assert configured["result"] == "ok"
        aws = tmp_path / "bin" / "aws"
        aws.parent.mkdir()
        aws.write_text(f"#!{sys.executable}\nprint({credential(first_terminal, monkeypatch)!r})\n")
        aws.chmod(0o755)
        first_terminal.put_first(aws.parent)
        nodes = first_terminal.do(str(tool("kubectl", "4.3")), "get", "nodes", "-o", "name").split()
        assert len(nodes) == 11

        second.press_ctrl_c()
        assert second.rest() == 0, second.text
        assert second.gone(), second.alive()
        assert first_terminal.script("create_aws_infrastructure.py", "status")["result"] == "ok"
        os.kill(first.process.pid, signal.SIGTERM)
        assert first.rest() == 0, first.text
        assert first.gone(), first.alive()


def credential(terminal: Terminal, patch: pytest.MonkeyPatch) -> str:
    """Return what `aws eks get-token` prints, with a token as that program signs it."""
    patch.setenv("AWS_SECRET_ACCESS_KEY", terminal.set["AWS_SECRET_ACCESS_KEY"])
    version = "client.authentication.k8s.io/v1beta1"
    status = {"token": sign("lambda-fs-eks-cluster"), "expirationTimestamp": "2100-01-01T00:00:00Z"}
    return json.dumps({"kind": "ExecCredential", "apiVersion": version, "status": status})
