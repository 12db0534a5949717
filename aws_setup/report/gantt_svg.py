"""The timeline as an SVG: a bar for each step, with the critical path highlighted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from aws_setup.engine.history import RunRecord
from aws_setup.engine.wait import format_duration
from aws_setup.engine.wording import count_of
from aws_setup.report.timeline import (
    Link,
    SpanOutcome,
    StepSpan,
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
"""The timeline's style; `.timeline` limits it to the timeline where a page embeds it."""

TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Possible distances of the axis's ticks, in seconds."""

WORD_WIDTH = 70
"""Width of the longest word beside a bar, with the gap before it."""

WORDS = {SpanOutcome.FAILED: "failed", SpanOutcome.UNFINISHED: "unfinished"}
"""Outcomes that are written beside the bar."""

CLASSES = {SpanOutcome.FAILED: " failed", SpanOutcome.UNFINISHED: " unfinished"}


@dataclass(frozen=True)
class GanttLayout:
    """Positions in SVG units: the chart is from `left` to `right`, with a row every `row`.

    With `stacked` a step's name is above its bar, for narrow pages, otherwise beside it.
    """

    width: int
    left: int
    right: int
    row: int
    top: int
    stacked: bool
    total: float

    def x(self, seconds: float) -> float:
        """Return the position of a time on the axis."""
        share = seconds / self.total if self.total else 0.0
        return round(self.left + (self.right - self.left) * share, 1)

    def y(self, index: int) -> int:
        """Return the top of the bar in a row."""
        return self.top + self.row * index + (17 if self.stacked else 4)


def _layout(total: float, *, narrow: bool) -> GanttLayout:
    if narrow:
        return GanttLayout(340, 2, 338, 34, 24, stacked=True, total=total)
    return GanttLayout(960, 366, 948, 21, 26, stacked=False, total=total)


def timeline_svg(
    record: RunRecord, *, narrow: bool = False, least: float = 0.0, name: str = "timeline"
) -> str:
    """Return the timeline of a run; the result is the same for the same record.

    Args:
        record: the run.
        narrow: draw it for a page as wide as a phone.
        least: the smallest share of the run's duration that is drawn; shorter steps are omitted,
            unless they are on the critical path or did not succeed.
        name: the prefix of its element ids, unique on the page.
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
        *_chain(layout, path, {span.step: index for index, span in enumerate(shown)}),
        *(line for index, span in enumerate(shown) for line in _row(layout, index, span, on_path)),
        *_legend(layout, bottom + 20, _legend_words(acted, shown, path, total)),
    ]
    return _page(record, body, layout.width, bottom + (54 if narrow else 34), name)


def _page(record: RunRecord, body: Sequence[str], width: int, height: int, name: str) -> str:
    title = escape(f"Timeline of {record.head.command}")
    path = ", ".join(link.span.step for link in critical_path(record))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" class="timeline" '
        f'aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{title}</title>',
        f'<desc id="{name}-desc">A bar for each step over the duration of the run. '
        f"Critical path: {escape(path) or 'none'}.</desc>",
        f"<style>\n{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _axis(layout: GanttLayout, bottom: int) -> Iterator[str]:
    """Yield the ticks with their times, and the grid lines below them."""
    ticks = 3 if layout.stacked else 8
    distance = next((tick for tick in TICKS if layout.total / tick <= ticks), TICKS[-1])
    number = 0
    while number * distance <= layout.total:
        x = layout.x(number * distance)
        label = format_duration(number * distance) if number else "0"
        anchor = "start" if not number else "middle" if x < layout.right - 16 else "end"
        yield f'<path class="grid" d="M {x} {layout.top - 6} V {bottom}"/>'
        yield _text(x, layout.top - 11, label, "tick", anchor=anchor)
        number += 1


def _chain(layout: GanttLayout, path: Sequence[Link], rows: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines from the end of each step of the critical path to the next one's start."""
    if layout.stacked:
        return  # they would cross the names
    for before, link in pairwise(path):
        if before.span.step in rows and link.span.step in rows:
            x, y = layout.x(before.span.end), layout.y(rows[before.span.step]) + 6
            down = layout.y(rows[link.span.step]) + 6
            yield f'<path class="chain" d="M {x} {y} V {down} H {layout.x(link.span.start)}"/>'


def _row(
    layout: GanttLayout, index: int, span: StepSpan, on_path: Mapping[str, Link]
) -> Iterator[str]:
    """Yield one step: its name, its duration, its bar, and its outcome if it did not succeed."""
    critical = " critical" if span.step in on_path else ""
    y, x = layout.y(index), layout.x(span.start)
    width = max(2.0, round(layout.x(span.end) - x, 1))
    baseline = y - 5 if layout.stacked else y + 10
    edge = layout.right if layout.stacked else layout.left - 14
    yield _text(2, baseline, _short(span.step), f"name{critical}")
    yield _text(edge, baseline, took(span.seconds), f"took{critical}", anchor="end")
    kind = CLASSES.get(span.outcome, "")
    yield (
        f'<rect class="bar{critical}{kind}" x="{x}" y="{y}" width="{width}" height="12" rx="1.5">'
        f"<title>{escape(_tooltip(span, on_path))}</title></rect>"
    )
    word = WORDS.get(span.outcome)
    if word:
        yield _word(layout, word, x + width, y + 10)


def _word(layout: GanttLayout, word: str, end: float, baseline: int) -> str:
    """Return a word after the end of a bar, or within the bar at the page's edge."""
    if end + WORD_WIDTH < layout.right:
        return _text(end + 6, baseline, word, "word")
    return _text(end - 6, baseline, word, "word inside", anchor="end")


def _tooltip(span: StepSpan, on_path: Mapping[str, Link]) -> str:
    link = on_path.get(span.step)
    waited = f", after {link.waited_for}" if link and link.waited_for else ""
    path = ", on the critical path" if link else ""
    times = f"from {format_duration(span.start)} to {format_duration(span.end)}"
    return f"{span.step}: {span.outcome}, {took(span.seconds)}, {times}{path}{waited}"


def _short(step: str) -> str:
    return step if len(step) <= 41 else f"{step[:40]}…"


def took(seconds: float) -> str:
    """Return a duration as text, with tenths of a second where it is short."""
    if seconds < 0.05:
        return "< 0.1 s"
    return f"{seconds:.1f} s" if seconds < 9.95 else format_duration(seconds)


def _legend_words(
    acted: Sequence[StepSpan], shown: Sequence[StepSpan], path: Sequence[Link], total: float
) -> list[tuple[str, str]]:
    on_path = f"critical path, {format_duration(path_seconds(path))} of {format_duration(total)}"
    omitted = len(acted) - len(shown)
    rest = (
        f"; {count_of(omitted, 'shorter step is', 'shorter steps are')} omitted" if omitted else ""
    )
    return [("bar critical", on_path), ("bar", f"in parallel{rest}")]


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
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x}" y="{y}"{anchored}>{escape(text)}</text>'
