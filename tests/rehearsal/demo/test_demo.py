"""The complete demo, as `python -m aws_setup.rehearsal` runs it."""

from __future__ import annotations

import html
import re

import pytest

from aws_setup.rehearsal.demo.scenario import DEMO_STEPS
from tests.docs import demo_recording
from tests.support.demo import Run, started

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    page = tmp_path_factory.mktemp("page") / "report.html"
    with started(tmp_path_factory.mktemp("demo"), "--speed", "100", "--html", str(page)) as run:
        run.rest()
    run.report = page
    return run


def test_it_writes_a_page(demo: Run) -> None:
    page = demo.report.read_text(encoding="utf-8")
    for word in ("create", "configure", "destroy", "Critical path", "times as on AWS"):
        assert word in page


def test_every_step_succeeds(demo: Run) -> None:
    assert demo.process.returncode == 0, demo.text
    assert "All steps succeeded." in demo.lines
    assert "Traceback" not in demo.text
    for number, step in enumerate(DEMO_STEPS, 1):
        assert f"{number} of {len(DEMO_STEPS)}: {step.title}" in demo.text
        assert f"$ {step.command_line}" in demo.lines


def test_the_output_of_the_scripts_is_shown(demo: Run) -> None:
    for output in (
        "46 create",
        "Done: 46 of 46 steps were created or updated.",
        "20 created, 0 already up to date.",
        "Nothing to do: everything matches the configuration.",
        "Nothing to do: 20 of 20 actions are up to date.",
        "All resources of lambda-fs are deleted.",
    ):
        assert output in demo.lines, output


def test_the_audit_counts_the_writes(demo: Run) -> None:
    rows = re.findall(r"^(\w+\.py \S+) .+ (\d+) +(\d+)$", demo.text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [step.short_name for step in DEMO_STEPS]
    for (_, requests, writes), step in zip(rows, DEMO_STEPS, strict=True):
        assert (int(writes) == 0) == step.unchanged
        assert int(requests) > 0


def test_the_demos_lines_fit_into_80_columns(demo: Run) -> None:
    shown = [line for line in demo.lines if "──" in line or re.match(r"\w+\.py ", line)]
    assert len(shown) > 2 * len(DEMO_STEPS)
    assert max(map(len, shown)) <= 80


def words(lines: list[str]) -> str:
    """Return lines without what differs from run to run: numbers, times, money."""
    text = " ".join(" ".join(lines).split())
    numbers = re.sub(r"\d[\d.]*", "N", text)
    return re.sub(r"(N h )?(N min )?N s|(N h )?N min|N h", "T", numbers)


def test_the_documentation_shows_a_real_run(demo: Run) -> None:
    page = demo_recording.PAGE.read_text(encoding="utf-8")
    block = page.split(demo_recording.BEGIN)[1].split(demo_recording.END)[0].splitlines()
    lines = [line for line in demo.lines if not line.startswith("HTML report")]
    assert words(block) == words(demo_recording.excerpt(lines))


def test_the_picture_shows_the_same_run() -> None:
    page = demo_recording.PAGE.read_text(encoding="utf-8")
    block = page.split(demo_recording.BEGIN)[1].split(demo_recording.END)[0].split()
    drawn = demo_recording.PICTURE.read_text(encoding="utf-8")
    texts = re.findall(r"<text[^>]*>(.*?)</text>", drawn)
    message = html.unescape(" ".join(texts)).split()
    assert set(block) <= set(message)
    assert not re.search(r"(href|url|src)\W+https?:", drawn), "it loads nothing from other hosts"


def test_it_leaves_nothing_running(demo: Run) -> None:
    assert demo.gone(), demo.alive()
