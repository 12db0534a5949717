"""--html of the scripts: a page at the end of every run, or a refusal before the first call."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import configure_eks_cluster
from aws_setup.aws.context import Context
from aws_setup.cli.script import Script
from aws_setup.engine.step import Found
from aws_setup.infrastructure.network import Vpc
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from create_aws_infrastructure import SCRIPT
from tests.report.test_page import Page, states
from tests.support.config import SAMPLE
from tests.support.scripts import prepare, run


@pytest.fixture
def folder(cloud: RehearsalCloud, tmp_path: Path) -> Path:
    return prepare(tmp_path / "work")


def test_create_writes_its_page(cloud: RehearsalCloud, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    ended = run(SCRIPT, folder, "create", "--yes", "--html", str(target))
    assert ended.exit_code == 0
    priced = re.findall(r"total +\$ *(\d+\.\d+)/h", ended.stdout)[0]
    assert f"The report is in {target}." in " ".join(ended.stderr.split())
    text = target.read_text(encoding="utf-8")
    read = Page(text)
    for step in SCRIPT.story().table(SAMPLE):
        if step.part != "software":
            assert read.row(step.name)[2] == "created", step.name
    assert states(text)["created"] >= 15
    hourly, monthly = read.row("total")[1:]
    assert hourly == priced
    assert float(monthly.replace(",", "")) == pytest.approx(float(priced) * 730, abs=1)
    assert ACCOUNT not in text
    assert "PRIVATE KEY" not in text
    again = run(SCRIPT, folder, "create", "--yes", "--html", str(target))
    assert again.exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert set(states(text)) == {"exists"}
    assert Page(text).row("total")[1] == priced, "existing resources are priced without a change"


@pytest.mark.parametrize("verb", ["plan", "status"])
def test_plan_and_status_write_a_page_too(
    cloud: RehearsalCloud, folder: Path, tmp_path: Path, verb: str
) -> None:
    target = tmp_path / "page.html"
    assert run(SCRIPT, folder, verb, "--html", str(target)).exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert Page(text).row("vpc")[1:3] == ["create", "to create"]
    assert set(states(text)) == {"to create"}
    assert '<h2 id="timelines">' not in text


def test_a_failed_run_writes_its_page(cloud: RehearsalCloud, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    cloud.faults.add({"fault": "fail", "action": "CreateNatGateway", "code": "Bad", "status": 400})
    assert run(SCRIPT, folder, "create", "--yes", "--html", str(target)).exit_code == 1
    text = target.read_text(encoding="utf-8")
    assert text.index("Problems of create") < text.index("Architecture")
    assert states(text)["failed"] == 1
    assert Page(text).row("private route")[2] == "not started"


def test_an_interrupted_run_writes_its_page(
    cloud: RehearsalCloud, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, pressed = threading.Event(), threading.Event()

    def asleep(_: Vpc, ctx: Context) -> Found:
        reached.set()
        while True:
            ctx.clock.sleep(1)

    class Ends(SimpleQueue[Any]):
        """Where the main thread hears of the steps; Ctrl-C while the VPC is being created."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if reached.is_set() and not pressed.is_set():
                pressed.set()
                raise KeyboardInterrupt
            return super().get(block, 0.05)

    monkeypatch.setattr(Vpc, "create", asleep)
    monkeypatch.setattr("aws_setup.engine.graph.SimpleQueue", Ends)
    target = tmp_path / "page.html"
    ended = run(SCRIPT, folder, "create", "--yes", "--html", str(target))
    assert ended.exit_code == 130
    text = target.read_text(encoding="utf-8")
    assert "create: interrupted" in text
    assert "it resumes where it stopped" in text
    assert states(text)["unfinished"] == 1
    assert states(text)["not started"] > 10


@pytest.mark.parametrize("script", [SCRIPT, configure_eks_cluster.SCRIPT])
def test_a_page_that_cannot_be_written_is_refused_before_any_call(
    cloud: RehearsalCloud, folder: Path, tmp_path: Path, script: Script
) -> None:
    before = len(cloud.calls)
    target = tmp_path / "missing" / "page.html"
    ended = run(script, folder, "--yes", "--html", str(target))
    assert ended.exit_code == 2
    [line] = [text for text in ended.stderr.splitlines() if text.startswith("error")]
    assert str(target) in line
    assert len(cloud.calls) == before
    assert not target.parent.exists()


def test_a_folder_that_goes_away_meanwhile_is_a_warning(
    cloud: RehearsalCloud, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "page.html"
    target.write_text("")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aws_setup.report.page.write_page", full)
    ended = run(SCRIPT, folder, "plan", "--html", str(target))
    assert ended.exit_code == 0
    assert "warning: the report could not be written" in ended.stderr


def test_a_refused_run_has_its_reason_on_the_page(
    cloud: RehearsalCloud, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "page.html"
    assert run(SCRIPT, folder, "create", "--html", str(target)).exit_code == 2
    text = target.read_text(encoding="utf-8")
    assert "cannot ask for confirmation" in text
    assert Page(text).row("vpc")[2] == "to create"
