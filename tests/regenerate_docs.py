"""Regenerates every generated file of the documentation: `python -m tests.regenerate_docs`.

`demo` records the demo run into docs/rehearsal.md and docs/rehearsal.svg, which takes a minute;
`architecture` and `timeline` draw the same pictures as the documentation's of other input.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aws_setup.config import Config, load_config
from aws_setup.engine.history import read_events
from aws_setup.errors import Refused
from aws_setup.preflight.policy_document import policy
from aws_setup.report.architecture_svg import architecture
from aws_setup.report.connections_svg import connections
from aws_setup.report.gantt_svg import timeline_svg
from tests.docs import cost_table, demo_recording, step_names
from tests.docs.sample_config import sample_text, schema_text
from tests.support.config import SAMPLE

COMMAND = "python -m tests.regenerate_docs"
ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PERMISSIONS = DOCS / "permissions.md"
EVENTS = ROOT / "tests" / "data" / "create.events.jsonl"
"""The recorded run whose timeline the documentation shows."""

DEFAULT = Config(ssh_keypair_name="key", ssh_key_path="key.pem")
"""The configuration whose policy the documentation shows."""

LEAST = 0.004
"""Shortest bar of a timeline, as a part of the run: shorter steps are counted, not drawn."""


def permissions_text() -> str:
    """Return docs/permissions.md with the policy that the product needs now."""
    block = re.compile(r"```json\n.*?\n```", re.DOTALL)
    text = f"```json\n{json.dumps(policy(DEFAULT), indent=2)}\n```"
    return block.sub(lambda _: text, PERMISSIONS.read_text(encoding="utf-8"))


def timeline_text(events: Path) -> str:
    """Return the timeline of the newest run of an event log.

    Raises:
        Refused: the log cannot be read, or holds no run.
    """
    try:
        records = read_events(events)
    except OSError as error:
        raise Refused(f"{events} cannot be read", error.strerror or str(error)) from error
    if not records:
        raise Refused(f"{events} holds no run", "it has no complete line")
    return timeline_svg(records[-1], least=LEAST)


GENERATED: Mapping[Path, Callable[[], str]] = {
    ROOT / "sample_config_aws.yaml": sample_text,
    DOCS / "config.schema.json": schema_text,
    PERMISSIONS: permissions_text,
    step_names.PATH: step_names.step_names_text,
    cost_table.PATH: cost_table.costs_text,
    DOCS / "architecture.svg": lambda: architecture(SAMPLE),
    DOCS / "connections.svg": lambda: connections(SAMPLE),
    DOCS / "timeline.svg": lambda: timeline_text(EVENTS),
}
"""Generated file -> what it must contain; a test compares them."""


def write(path: Path, text: str) -> None:
    """Write a text as UTF-8.

    Raises:
        Refused: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Refused(f"{path} cannot be written", error.strerror or str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Regenerate the documentation.")
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("demo", help="run the demo and record it into docs/rehearsal.md")
    drawing = verbs.add_parser("architecture", help="draw the architecture of a configuration")
    drawing.add_argument("-y", "--yaml", type=Path, required=True, metavar="FILE")
    drawing.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    timeline = verbs.add_parser("timeline", help="draw the newest run of an event log")
    timeline.add_argument("events", type=Path)
    timeline.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "demo":
            return demo_recording.record()
        if options.verb == "architecture":
            config = load_config(options.yaml, environ=os.environ)
            write(options.output, architecture(config))
        elif options.verb == "timeline":
            write(options.output, timeline_text(options.events))
        else:
            for path, text in GENERATED.items():
                write(path, text())
    except Refused as error:
        sys.stderr.writelines(f"{problem.what}: {problem.why}\n" for problem in error.problems)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
