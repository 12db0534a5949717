"""The whole story, as `python -m aws_setup.rehearsal` plays it, from nothing to nothing."""

from __future__ import annotations

import html
import re

import pytest

from aws_setup.rehearsal.demo.scenario import DEMO_STEPS
from tests.docs import demo_recording
from tests.support.demo import Run, started

pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Run:
    page = tmp_path_factory.mktemp("page") / "report.html"
    with started(tmp_path_factory.mktemp("story"), "--speed", "100", "--html", str(page)) as run:
        run.rest()
    run.report = page
    return run


def test_it_writes_a_page(story: Run) -> None:
    page = story.report.read_text(encoding="utf-8")
    for word in ("create", "configure", "destroy", "Critical path", "as they would be on AWS"):
        assert word in page


def test_it_goes_as_it_should(story: Run) -> None:
    assert story.process.returncode == 0, story.text
    assert "All went as it should." in story.lines
    assert "Traceback" not in story.text
    for number, act in enumerate(DEMO_STEPS, 1):
        assert f"{number} of {len(DEMO_STEPS)}: {act.title}" in story.text
        assert f"$ {act.line}" in story.lines


def test_the_scripts_say_it_in_their_own_words(story: Run) -> None:
    for output in (
        "41 create",
        "Done: 41 of 41 steps were made or changed.",
        "20 changed, 0 as wanted before.",
        "Nothing to do: everything is as the configuration wants it.",
        "Nothing to do: 20 of 20 are as wanted.",
        "Nothing of lambda-fs is left.",
    ):
        assert output in story.lines, output


def test_the_cloud_counted_the_writes(story: Run) -> None:
    rows = re.findall(r"^(\w+\.py \S+) .+ (\d+) +(\d+)$", story.text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [act.short for act in DEMO_STEPS]
    for (_, requests, writes), act in zip(rows, DEMO_STEPS, strict=True):
        assert (int(writes) == 0) == act.unchanged
        assert int(requests) > 0


def test_its_own_lines_fit_into_80_columns(story: Run) -> None:
    own = [line for line in story.lines if "──" in line or re.match(r"\w+\.py ", line)]
    assert len(own) > 2 * len(DEMO_STEPS)
    assert max(map(len, own)) <= 80


def words(lines: list[str]) -> str:
    """Return lines without what differs from run to run: numbers, times, money."""
    text = " ".join(" ".join(lines).split())
    return re.sub(r"(N min )?N s|N min", "T", re.sub(r"\d[\d.]*", "N", text))


def test_the_readme_shows_a_real_run(story: Run) -> None:
    readme = demo_recording.README.read_text(encoding="utf-8")
    block = readme.split(demo_recording.BEGIN)[1].split(demo_recording.END)[0].splitlines()
    lines = [line for line in story.lines if not line.startswith("The page about it")]
    assert words(block) == words(demo_recording.excerpt(lines))


def test_the_picture_shows_the_readmes_run() -> None:
    readme = demo_recording.README.read_text(encoding="utf-8")
    block = readme.split(demo_recording.BEGIN)[1].split(demo_recording.END)[0].split()
    drawn = demo_recording.PICTURE.read_text(encoding="utf-8")
    texts = re.findall(r"<text[^>]*>(.*?)</text>", drawn)
    message = html.unescape(" ".join(texts)).split()
    assert set(block) <= set(message)
    assert not re.search(r"(href|url|src)\W+https?:", drawn), "it needs nothing from elsewhere"


def test_it_leaves_nothing_running(story: Run) -> None:
    assert story.gone(within=5), story.alive()
