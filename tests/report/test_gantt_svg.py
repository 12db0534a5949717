"""The timeline as an SVG: its bars and its critical path."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from aws_setup.cli.debug_log import SECRET_PATTERN
from aws_setup.engine.history import read_events
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.report.gantt_svg import timeline_svg
from tests.report.test_timeline import TIMES, recorded

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "data" / "create.events.jsonl"
SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def bars(svg: str) -> dict[str, ElementTree.Element]:
    """Return the bar of each step, by the step's name in its tooltip."""
    found = {}
    for bar in drawn(svg).iter(f"{SVG}rect"):
        tooltip = bar.findtext(f"{SVG}title")
        if tooltip:
            found[tooltip.split(":")[0]] = bar
    return found


def test_the_sample_holds_no_account() -> None:
    assert not SECRET_PATTERN.search(SAMPLE.read_text(encoding="utf-8"))
    [record] = read_events(SAMPLE)
    assert record.end
    assert record.end.result == "ok"


@pytest.mark.parametrize("narrow", [False, True])
def test_bars_are_at_their_times(narrow: bool) -> None:
    svg = timeline_svg(recorded(), narrow=narrow)
    page = drawn(svg)
    width = float(page.attrib["width"])
    found = bars(svg)
    assert found.keys() == TIMES.keys()
    starts = {step: float(bar.attrib["x"]) for step, bar in found.items()}
    widths = {step: float(bar.attrib["width"]) for step, bar in found.items()}
    scale = (starts["software"] - starts["vpc"]) / 60
    for step, (start, end) in TIMES.items():
        assert starts[step] == pytest.approx(starts["vpc"] + scale * start, abs=0.2)
        assert widths[step] == pytest.approx(max(2.0, scale * (end - start)), abs=0.3)
        assert starts[step] + widths[step] <= width
    ordered = sorted(found.values(), key=lambda bar: float(bar.attrib["y"]))
    assert [float(bar.attrib["x"]) for bar in ordered] == sorted(starts.values())
    for bar, following in pairwise(ordered):
        assert float(bar.attrib["y"]) + 12 < float(following.attrib["y"])


def test_the_critical_path_is_marked_and_named() -> None:
    svg = timeline_svg(recorded())
    critical = {step for step, bar in bars(svg).items() if "critical" in bar.attrib["class"]}
    assert critical == {"role", "cluster"}
    assert "Critical path: role, cluster." in str(drawn(svg).findtext(f"{SVG}desc"))
    assert len([p for p in drawn(svg).iter(f"{SVG}path") if p.get("class") == "chain"]) == 1


def test_short_steps_can_be_omitted_but_not_those_of_the_path() -> None:
    svg = timeline_svg(recorded(), least=0.05)
    assert bars(svg).keys() == {"role", "cluster", "machine", "software"}
    assert "2 shorter steps are omitted" in svg


def test_failed_and_unfinished_bars_have_labels() -> None:
    record = recorded(
        {"vpc": (0.0, 2.0)},
        StepEvent(0.0, EventKind.START, "role", Action.CREATE),
        StepEvent(2.0, EventKind.START, "subnet", Action.CREATE),
        StepEvent(90.0, EventKind.FAILED, "subnet", Action.CREATE, "quota"),
    )
    svg = timeline_svg(record)
    labels = [text for text in drawn(svg).iter(f"{SVG}text") if "word" in str(text.get("class"))]
    assert [label.text for label in labels] == ["unfinished", "failed"]
    assert {label.get("class") for label in labels} == {"word inside"}, "at the page's edge"
    assert "failed" in bars(svg)["subnet"].attrib["class"]


@pytest.mark.parametrize("total", [0.4, 7.0, 61.0, 600.0, 5000.0, 400_000.0])
def test_the_axis_has_a_few_round_times(total: float) -> None:
    svg = timeline_svg(recorded({"vpc": (0.0, total)}))
    ticks = re.findall(r'class="tick" x="([\d.]+)" y="15"[^>]*>([^<]+)<', svg)
    assert ticks[0][1] == "0"
    assert 1 <= len(ticks) <= 9
    positions = [float(x) for x, _ in ticks]
    assert all(after - before > 50 for before, after in pairwise(positions))


def test_a_run_without_events_is_an_empty_timeline() -> None:
    assert bars(timeline_svg(recorded({}))) == {}


def test_the_same_run_gives_the_same_timeline() -> None:
    [record] = read_events(SAMPLE)
    assert timeline_svg(record) == timeline_svg(record)
