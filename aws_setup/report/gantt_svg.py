"""The timeline as a picture: an SVG with a bar for each step and the critical path marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from aws_setup.engine.history import RunRecord
from aws_setup.engine.wait import format_duration
from aws_setup.report.timeline import (
    Link,
    Span,
    SpanOutcome,
    critical_path,
    path_seconds,
    spans,
    total_seconds,
)

STYLE = """\
.timeline text { font: 12px system-ui, sans-serif; fill: #1f2328;
  font-variant-numeric: tabular-nums; }
.timeline .critical { font-weight: 600; }
.timeline .tick { font-size: 11px; fill: #57606a; }
.timeline .page { fill: #ffffff; }
.timeline .grid { stroke: #d8dee4; stroke-width: 1; }
.timeline .chain { fill: none; stroke: #0550ae; stroke-width: 1.25; }
.timeline .bar { fill: #7390b3; }
.timeline .bar.critical { fill: #0550ae; }
.timeline .bar.failed { fill: #cf222e; }
.timeline .bar.unfinished { fill: #9a6700; }
.timeline .word { font-size: 11px; fill: #57606a; }
.timeline .word.inside { fill: #ffffff; }
@media screen and (prefers-color-scheme: dark) {
  .timeline text { fill: #e6edf3; }
  .timeline .tick, .timeline .word { fill: #9da7b3; }
  .timeline .page { fill: #0d1117; }
  .timeline .grid { stroke: #2a313a; }
  .timeline .chain { stroke: #79c0ff; }
  .timeline .bar { fill: #56779f; }
  .timeline .bar.critical { fill: #79c0ff; }
  .timeline .bar.failed { fill: #ff7b72; }
  .timeline .bar.unfinished { fill: #d29922; }
  .timeline .word.inside { fill: #0d1117; }
}
"""
"""What the picture is drawn with; the names keep to it where it stands within a page."""

TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Distances of the axis's ticks, in seconds."""

WORD_ROOM = 70
"""Width of the longest word beside a bar, with its distance."""

WORDS = {SpanOutcome.FAILED: "failed", SpanOutcome.UNFINISHED: "unfinished"}
"""Outcomes that stand beside the bar in words."""

CLASSES = {SpanOutcome.FAILED: " failed", SpanOutcome.UNFINISHED: " unfinished"}


@dataclass(frozen=True)
class GanttLayout:
    """Where things are, in SVG units: the chart from `left` to `right`, a row every `row`.

    With `stacked` a step's name stands above its bar, for narrow pages, otherwise beside it.
    """

    width: int
    left: int
    right: int
    row: int
    top: int
    stacked: bool
    total: float

    def x(self, seconds: float) -> float:
        """Return where a time is on the axis."""
        share = seconds / self.total if self.total else 0.0
        return round(self.left + (self.right - self.left) * share, 1)

    def y(self, place: int) -> int:
        """Return the top of the bar in a row."""
        return self.top + self.row * place + (17 if self.stacked else 4)


def _layout(total: float, *, narrow: bool) -> GanttLayout:
    if narrow:
        return GanttLayout(340, 2, 338, 34, 24, stacked=True, total=total)
    return GanttLayout(960, 366, 948, 21, 26, stacked=False, total=total)


def timeline_svg(
    record: RunRecord, *, narrow: bool = False, least: float = 0.0, name: str = "timeline"
) -> str:
    """Return the picture of a run, the same for the same record.

    Args:
        record: the run.
        narrow: for a page as wide as a phone.
        least: steps beside the critical path that took a smaller share of the run, and ended well,
            are left out.
        name: the prefix of its ids, unlike those of other pictures on the page.
    """
    path = critical_path(record)
    total = total_seconds(record)
    on_path = {link.span.step: link for link in path}
    acted = [span for span in spans(record) if span.acted]
    shown = [
        span
        for span in acted
        if span.step in on_path or span.outcome in WORDS or span.seconds >= least * total
    ]
    layout = _layout(total, narrow=narrow)
    bottom = layout.top + layout.row * len(shown)
    body = [
        *_axis(layout, bottom),
        *_chain(layout, path, {span.step: place for place, span in enumerate(shown)}),
        *(line for place, span in enumerate(shown) for line in _row(layout, place, span, on_path)),
        *_legend(layout, bottom + 20, _legend_words(acted, shown, path, total)),
    ]
    return _page(record, body, layout.width, bottom + (54 if narrow else 34), name)


def _page(record: RunRecord, body: Sequence[str], width: int, height: int, name: str) -> str:
    said = escape(f"Timeline of {record.head.command}")
    path = ", ".join(link.span.step for link in critical_path(record))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" class="timeline" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{said}</title>',
        f'<desc id="{name}-desc">A bar for each step over the time of the run. '
        f"Critical path: {escape(path) or 'none'}.</desc>",
        f"<style>\n{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _axis(layout: GanttLayout, bottom: int) -> Iterator[str]:
    """Yield the ticks with their times, and the lines below them."""
    most = 3 if layout.stacked else 8
    apart = next((tick for tick in TICKS if layout.total / tick <= most), TICKS[-1])
    number = 0
    while number * apart <= layout.total:
        x = layout.x(number * apart)
        label = format_duration(number * apart) if number else "0"
        anchor = "start" if not number else "middle" if x < layout.right - 16 else "end"
        yield f'<path class="grid" d="M {x} {layout.top - 6} V {bottom}"/>'
        yield _text(x, layout.top - 11, label, "tick", anchor=anchor)
        number += 1


def _chain(layout: GanttLayout, path: Sequence[Link], places: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines from the end of each step of the critical path to the next one's start."""
    if layout.stacked:
        return  # they would strike through the names
    for before, link in pairwise(path):
        if before.span.step in places and link.span.step in places:
            x, y = layout.x(before.span.end), layout.y(places[before.span.step]) + 6
            down = layout.y(places[link.span.step]) + 6
            yield f'<path class="chain" d="M {x} {y} V {down} H {layout.x(link.span.start)}"/>'


def _row(layout: GanttLayout, place: int, span: Span, on_path: Mapping[str, Link]) -> Iterator[str]:
    """Yield one step: its name, how long it took, its bar, and a word when it did not end well."""
    critical = " critical" if span.step in on_path else ""
    y, x = layout.y(place), layout.x(span.start)
    wide = max(2.0, round(layout.x(span.end) - x, 1))
    baseline = y - 5 if layout.stacked else y + 10
    edge = layout.right if layout.stacked else layout.left - 14
    yield _text(2, baseline, _short(span.step), f"name{critical}")
    yield _text(edge, baseline, took(span.seconds), f"took{critical}", anchor="end")
    kind = CLASSES.get(span.outcome, "")
    yield (
        f'<rect class="bar{critical}{kind}" x="{x}" y="{y}" width="{wide}" height="12" rx="1.5">'
        f"<title>{escape(_said(span, on_path))}</title></rect>"
    )
    word = WORDS.get(span.outcome)
    if word:
        yield _word(layout, word, x + wide, y + 10)


def _word(layout: GanttLayout, word: str, end: float, baseline: int) -> str:
    """Return a word behind the end of a bar, or within it where the page ends."""
    if end + WORD_ROOM < layout.right:
        return _text(end + 6, baseline, word, "word")
    return _text(end - 6, baseline, word, "word inside", anchor="end")


def _said(span: Span, on_path: Mapping[str, Link]) -> str:
    link = on_path.get(span.step)
    waited = f", after {link.waited_for}" if link and link.waited_for else ""
    path = ", on the critical path" if link else ""
    began = f"from {format_duration(span.start)} to {format_duration(span.end)}"
    return f"{span.step}: {span.outcome}, {took(span.seconds)}, {began}{path}{waited}"


def _short(step: str) -> str:
    return step if len(step) <= 41 else f"{step[:40]}…"


def took(seconds: float) -> str:
    """Return a duration, with a tenth of a second where it is short."""
    if seconds < 0.05:
        return "< 0.1 s"
    return f"{seconds:.1f} s" if seconds < 9.95 else format_duration(seconds)


def _legend_words(
    acted: Sequence[Span], shown: Sequence[Span], path: Sequence[Link], total: float
) -> list[tuple[str, str]]:
    said = f"critical path, {format_duration(path_seconds(path))} of {format_duration(total)}"
    left = len(acted) - len(shown)
    more = f"; {left} shorter ones are left out" if left else ""
    return [("bar critical", said), ("bar", f"beside it{more}")]


def _legend(layout: GanttLayout, y: int, words: Sequence[tuple[str, str]]) -> Iterator[str]:
    x = layout.left
    for kind, word in words:
        yield f'<rect class="{kind}" x="{x}" y="{y - 9}" width="16" height="10" rx="1.5"/>'
        yield _text(x + 22, y, word, "tick")
        if layout.stacked:
            y += 18
        else:
            x += 50 + 6 * len(word)


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x}" y="{y}"{placed}>{escape(text)}</text>'
