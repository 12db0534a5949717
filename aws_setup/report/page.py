"""The report as one page: HTML that is whole in itself and can be read offline."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aws_setup.config import Config
from aws_setup.engine.history import RunRecord
from aws_setup.engine.receipt import write_private
from aws_setup.errors import Refused
from aws_setup.report.architecture_svg import StepMark, architecture
from aws_setup.report.gantt_svg import timeline_svg
from aws_setup.report.page_rows import (
    CostRow,
    cost_rows,
    records_before,
    result_word,
    run_row,
    step_marks,
)
from aws_setup.report.timeline import critical_path, spans, worth_drawing

HERE = Path(__file__).resolve().parent

DOCTYPE = b"<!DOCTYPE html>"
"""What every page begins with."""

LEAST = 0.002
"""Share of a run below which a bar is too short to be seen: the table has the step all the same."""


@dataclass(frozen=True)
class PageTimeline:
    """One run's timeline, drawn for wide and for narrow screens."""

    command: str
    wide: Markup
    narrow: Markup
    caption: str


def check_target(path: Path) -> None:
    """Refuse a page that could not be written, before anything is done.

    Raises:
        Refused: its folder is missing or may not be written, or it is there and is no page.
    """
    hint = "give --html a file in a folder that you may write"
    if path.exists() and not path.is_file():
        why = f"{path} is {'a folder' if path.is_dir() else 'no file'}"
        raise Refused("the report cannot be written", why, hint)
    if _is_something_else(path):
        raise Refused("the report is not written", f"{path} is there and is no HTML page", hint)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        why = f"{path}: {error.strerror}"
        raise Refused("the report cannot be written", why, hint) from None
    os.close(handle)
    Path(name).unlink()


def _is_something_else(path: Path) -> bool:
    """Whether a file is there that a page must not replace: a configuration, say."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(DOCTYPE))
    except OSError:
        # Not there, or not to be read: whether it can be replaced is for the next check to say.
        return False
    return begins not in (b"", DOCTYPE)


def write_page(
    path: Path,
    records: Sequence[RunRecord],
    *,
    config: Config | None = None,
    earlier: Sequence[RunRecord] = (),
    facts: Sequence[str] = (),
) -> None:
    """Write the page of some runs, whole or not at all; `page` says what the arguments are.

    Raises:
        OSError: it cannot be written.
    """
    write_private(path, page(records, config=config, earlier=earlier, facts=facts))


def page(
    records: Sequence[RunRecord],
    *,
    config: Config | None = None,
    earlier: Sequence[RunRecord] = (),
    facts: Sequence[str] = (),
) -> str:
    """Return the page of some runs of one deployment, in their order.

    Args:
        records: the runs.
        config: the configuration from which the architecture is drawn; None leaves it out.
        earlier: runs before these, for what stood already.
        facts: sentences to add below the table of runs.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    costs = cost_rows(records)
    drawn, caption = _architecture(records, config, earlier)
    return environment.get_template("page.html").render(
        title=_title(records),
        where=_where(records),
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        runs=[run_row(record) for record in records],
        facts=facts,
        architecture=drawn,
        caption=caption,
        timelines=_timelines(records),
        costs=costs,
        total=CostRow("in all", sum(cost.hourly for cost in costs)),
    )


def _title(records: Sequence[RunRecord]) -> str:
    names = {record.head.deployment: None for record in records if record.head.deployment}
    commands = ", ".join(record.head.command for record in records)
    said = ", ".join(f"{record.head.command} {result_word(record)}" for record in records)
    if len({result_word(record) for record in records}) == 1:
        said = f"{commands} {result_word(records[0])}"
    return f"{', '.join(names) or 'λFS on AWS'}: {said}"


def _where(records: Sequence[RunRecord]) -> str:
    scripts = {record.head.script: None for record in records if record.head.script}
    regions = {record.head.region: None for record in records if record.head.region}
    return ", ".join(["λFS on AWS", *regions, *scripts])


def _architecture(
    records: Sequence[RunRecord], config: Config | None, earlier: Sequence[RunRecord]
) -> tuple[Markup, str]:
    """Return the picture and its caption; runs that destroy at the end do not count in it."""
    if config is None:
        return Markup(""), ""
    last = len(records)
    while last and records[last - 1].head.command == "destroy":
        last -= 1
    shown = records[:last] or records
    known: dict[str, StepMark] = records_before(earlier) | step_marks(shown)
    when = " Drawn as it stood before destroy." if last not in {0, len(records)} else ""
    caption = "The stripe and the word of each box say how it stands; without them it is not part "
    return Markup(architecture(config, known)), f"{caption}of what was looked at.{when}"


def _timelines(records: Sequence[RunRecord]) -> list[PageTimeline]:
    return [
        PageTimeline(
            record.head.command,
            Markup(timeline_svg(record, least=LEAST, name=f"timeline-{place}")),
            Markup(timeline_svg(record, narrow=True, least=LEAST, name=f"narrow-{place}")),
            _caption(record),
        )
        for place, record in enumerate(records)
        if worth_drawing(record)
    ]


def _caption(record: RunRecord) -> str:
    path = " → ".join(link.span.step for link in critical_path(record))
    there = sum(not span.acted for span in spans(record))
    rest = f" {there} other steps had nothing to do or did not start." if there else ""
    return f"Critical path: {path}.{rest}"
