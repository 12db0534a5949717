"""The report as one self-contained HTML page that can be read offline."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aws_setup.config import Config
from aws_setup.config.regular_files import open_file
from aws_setup.engine.history import RunRecord
from aws_setup.engine.private_files import write_private
from aws_setup.engine.safe_text import visible
from aws_setup.engine.temporary_files import owned_prefix
from aws_setup.engine.wording import count_of
from aws_setup.errors import Refused
from aws_setup.report.architecture_svg import StepMark, architecture
from aws_setup.report.gantt_svg import timeline_svg
from aws_setup.report.page_rows import (
    CostRow,
    check_row,
    cost_rows,
    marks_before,
    result_word,
    run_row,
    step_marks,
)
from aws_setup.report.timeline import critical_path, spans, worth_drawing

HERE = Path(__file__).resolve().parent

DOCTYPE = b"<!DOCTYPE html>"
"""The first bytes of every page."""

LEAST = 0.002
"""Share of a run's duration below which a bar is too short to be visible and is omitted."""


@dataclass(frozen=True)
class PageTimeline:
    """One run's timeline, drawn for wide and for narrow screens."""

    command: str
    wide: Markup
    narrow: Markup
    caption: str


def check_target(path: Path) -> None:
    """Check before the run that the page can be written.

    Raises:
        Refused: its folder is missing or not writable, or the path exists and is not a page.
    """
    what, hint = "the report cannot be written", "set --html to a file in a folder you can write to"
    if path.exists() and not path.is_file():
        why = f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}"
        raise Refused(what, why, hint)
    if _is_other_file(path):
        raise Refused(what, f"{path} exists and is not an HTML file", hint)
    prefix = owned_prefix(path.parent, f".{path.name}.")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    except OSError as error:
        raise Refused(what, f"{path}: {error.strerror}", hint) from None
    os.close(handle)
    Path(name).unlink()


def _is_other_file(path: Path) -> bool:
    """Whether a file exists that a page must not replace, such as a configuration."""
    try:
        with open_file(path) as file:
            beginning = file.read(len(DOCTYPE))
    except OSError:
        # Missing or unreadable: the next check finds out whether it can be replaced.
        return False
    return beginning not in (b"", DOCTYPE)


def write_page(
    path: Path,
    records: Sequence[RunRecord],
    *,
    config: Config | None = None,
    earlier: Sequence[RunRecord] = (),
    facts: Sequence[str] = (),
    checks: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the page of some runs atomically; the arguments are those of `page`.

    Raises:
        OSError: the file cannot be written.
    """
    write_private(path, page(records, config=config, earlier=earlier, facts=facts, checks=checks))


def page(
    records: Sequence[RunRecord],
    *,
    config: Config | None = None,
    earlier: Sequence[RunRecord] = (),
    facts: Sequence[str] = (),
    checks: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the page of some runs of one deployment, in their order.

    Args:
        records: the runs.
        config: the configuration from which the architecture is drawn; None omits the diagram.
        earlier: runs before these, which tell what existed already.
        facts: sentences to add below the table of runs.
        checks: the checks of verify, as in its JSON document.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    costs = cost_rows(records)
    diagram, caption = _architecture(records, config, earlier)
    text = environment.get_template("page.html").render(
        title=_title(records),
        subtitle=_subtitle(records),
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # nosec B704 -- our file
        runs=[run_row(record) for record in records],
        facts=facts,
        checks=[check_row(check) for check in checks],
        architecture=diagram,
        caption=caption,
        timelines=_timelines(records),
        costs=costs,
        total=CostRow("total", sum(cost.hourly for cost in costs)),
    )
    return visible(text)


def _title(records: Sequence[RunRecord]) -> str:
    names = {record.head.deployment: None for record in records if record.head.deployment}
    commands = ", ".join(record.head.command for record in records)
    results = ", ".join(f"{record.head.command} {result_word(record)}" for record in records)
    if len({result_word(record) for record in records}) == 1:
        results = f"{commands} {result_word(records[0])}"
    return f"{', '.join(names) or 'λFS on AWS'}: {results}"


def _subtitle(records: Sequence[RunRecord]) -> str:
    scripts = {record.head.script: None for record in records if record.head.script}
    regions = {record.head.region: None for record in records if record.head.region}
    return ", ".join(["λFS on AWS", *regions, *scripts])


def _architecture(
    records: Sequence[RunRecord], config: Config | None, earlier: Sequence[RunRecord]
) -> tuple[Markup, str]:
    """Return the diagram and its caption; it shows the state before a final destroy."""
    if config is None:
        return Markup(""), ""
    last = len(records)
    while last and records[last - 1].head.command == "destroy":
        last -= 1
    shown = records[:last] or records
    known: dict[str, StepMark] = marks_before(earlier) | step_marks(shown)
    caption = "The stripe and the label of a box show its state; a box without them was not "
    time = " The state is that before destroy." if last not in {0, len(records)} else ""
    picture = Markup(architecture(config, known))  # nosec B704 -- it escapes its texts
    return picture, f"{caption}inspected.{time}"


def _timelines(records: Sequence[RunRecord]) -> list[PageTimeline]:
    return [
        PageTimeline(
            record.head.command,
            _svg(timeline_svg(record, least=LEAST, name=f"timeline-{index}")),
            _svg(timeline_svg(record, narrow=True, least=LEAST, name=f"narrow-{index}")),
            _caption(record),
        )
        for index, record in enumerate(records)
        if worth_drawing(record)
    ]


def _caption(record: RunRecord) -> str:
    path = " → ".join(link.span.step for link in critical_path(record))
    others = sum(not span.acted for span in spans(record))
    rest = (
        f" {count_of(others, 'other step')} had nothing to do or did not start." if others else ""
    )
    return f"Critical path: {path}.{rest}"


def _svg(text: str) -> Markup:
    """Return a picture as markup: the functions that draw escape the texts in it."""
    return Markup(text)  # nosec B704
