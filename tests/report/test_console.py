"""Rows of a plan and of a status as they are printed: in a terminal of any width, and in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from aws_setup.engine.plan import Row
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action, Drift, ExistingResource, Found, RunContext, Step
from aws_setup.errors import Problem, SetupError
from aws_setup.report import Report, Style
from aws_setup.report.progress import live

LONG = "auto-scaling group hopsfs_namenodes_ags"


@dataclass(frozen=True)
class Disk(Step[RunContext]):
    """A step that is only named."""

    name: str
    part: str = "other"

    def find(self, ctx: RunContext) -> Found | None:
        raise NotImplementedError

    def create(self, ctx: RunContext) -> Found:
        raise NotImplementedError


@dataclass(frozen=True)
class Network(ExistingResource[RunContext]):
    """An existing resource that is only named."""

    name: str = field(default="vpc")

    def find(self, ctx: RunContext) -> Found | None:
        raise NotImplementedError


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def printed(
    monkeypatch: pytest.MonkeyPatch,
    *rows: Row,
    columns: int = 80,
    stream: io.StringIO | None = None,
    verbose: bool = True,
    **how: Any,
) -> list[str]:
    """Return the lines of a plan, without the blanks at their ends."""
    stream = Terminal() if stream is None else stream
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    Report(Style(no_color=True, verbose=verbose)).plan(rows, **how)
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    return [line.rstrip() for line in text.splitlines()]


def row(action: Action, found: Found | None = None, **more: Any) -> Row:
    return Row(Disk("disk"), action, found, **more)


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (row(Action.CREATE), "+ create disk"),
        (row(Action.EXISTS, Found("vol-1", "in-use")), "= exists disk vol-1"),
        (row(Action.EXISTS, Found("", "written")), "= exists disk written"),
        (row(Action.EXISTS, Found("", skipped="no NDB")), "= skipped disk no NDB"),
        (
            row(Action.UPDATE, Found("vol-1", drift=(Drift("size", "8", "16"),))),
            "~ update disk size: 8 -> 16",
        ),
        (
            row(
                Action.UPDATE,
                Found("vol-1", drift=(Drift("size", "8", "16"), Drift("type", "gp2", "gp3"))),
            ),
            "~ update disk size: 8 -> 16; type: gp2 -> gp3",
        ),
        (
            row(Action.CONFLICT, Found("vol-1", drift=(Drift("zone", "a", "b", "delete it"),))),
            "! conflict disk zone: a -> b",
        ),
        (row(Action.UNKNOWN, error=SetupError("no answer", "AWS\nis away")), None),
        (
            Row(Network(), Action.EXISTS, Found("vpc-1")),
            "= exists vpc vpc-1 (existing, never changed or deleted)",
        ),
    ],
)
@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_plan_row(
    monkeypatch: pytest.MonkeyPatch, shown: Row, line: str | None, stream: type[io.StringIO]
) -> None:
    [text] = printed(monkeypatch, shown, stream=stream())
    assert " ".join(text.split()) == (line or "? unknown disk no answer: AWS is away")


def test_a_deletion_names_the_id_and_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    drifted = row(Action.UPDATE, Found("vol-1", drift=(Drift("size", "8", "16"),)))
    [line] = printed(monkeypatch, drifted, deleting=True)
    assert line.split() == ["-", "delete", "disk", "vol-1"]


def test_a_status_row_has_id_state_drift_and_its_notes_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Found("vol-1", "error", {"notes": ("slow", "full")}, drift=(Drift("size", "8", "16"),))
    lines = printed(monkeypatch, row(Action.UPDATE, found), states=True)
    assert [line.split() for line in lines] == [
        ["~", "update", "disk", "vol-1", "(error);", "size:", "8", "->", "16"],
        ["slow"],
        ["full"],
    ]
    [line] = printed(monkeypatch, row(Action.UPDATE, found), states=True, stream=io.StringIO())
    assert line.endswith("vol-1 (error); size: 8 -> 16; slow; full")


def test_in_80_columns_the_name_is_not_cut_and_the_remark_wraps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "the quota of running instances in this region is too small for this deployment"
    first, *rest = printed(
        monkeypatch,
        Row(Disk(LONG), Action.UNKNOWN, error=SetupError(reason)),
        Row(Disk("disk"), Action.EXISTS, Found("vol-1")),
    )
    assert first.endswith(LONG)
    assert all(len(line) <= 80 for line in (first, *rest))
    assert [line.strip() for line in rest] == [
        "the quota of running instances in this region is too small for this",
        "deployment",
        f"= exists   disk{' ' * (len(LONG) - 2)}vol-1",
    ]


ROLE = "arn:aws:iam::123456789012:role/lambda-fs-eks-cluster-role"


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize(
    ("remark", "below"),
    [
        (ROLE, True),
        ("i-06ebd737ca78d567f, i-11c064b5c81b86ad7", False),
        ("i-06ebd737ca78d567f, i-11c064b5c81b86ad7, i-df2662cd24c592818", True),
        ("/home/ada/infrastructure_json/lambda-fs.known_hosts (10 of 10 answer)", True),
    ],
)
def test_in_a_terminal_no_id_and_no_path_is_broken(
    monkeypatch: pytest.MonkeyPatch, remark: str, below: bool, columns: int
) -> None:
    longest = Row(Disk("auto-scaling group hopsfs_namenodes"), Action.CREATE)
    lines = printed(
        monkeypatch, longest, row(Action.EXISTS, Found(remark)), columns=columns, deleting=True
    )
    assert [line.split() for line in lines if line.endswith("disk")] == [
        ["-", "delete", "disk"]
    ] * (below or columns == 60)
    shown = " ".join(lines).split()
    assert [word for word in shown if word in remark.split()] == remark.split()
    assert all(len(line) <= columns for line in lines if not line.strip().startswith(ROLE))


COMMAND = "ssh -F infrastructure_json/lambda-fs.ssh_config lambda-fs-client"


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize(
    "text",
    [
        "AWS stops all machines at 2026-11-28 01:43 UTC, in 12 h; all data is kept. To move it: "
        "python create_aws_infrastructure.py extend 6h",
        f"λFS is ready: 20 NameNodes at https://127.0.0.2:36045. Log in to its client: {COMMAND}",
        f"error: no answer: run `{COMMAND}`, and look at its log, which has the reason of this",
        "  Include /home/ada/lambda-fs-rehearsal-krcrcx42/infrastructure_json/lambda-fs.ssh_config",
        "Its key is in /home/ada/work/infrastructure_json/lambda-fs.wskprops (for wsk: "
        "WSK_CONFIG_FILE=/home/ada/work/infrastructure_json/lambda-fs.wskprops)",
    ],
)
def test_in_a_terminal_a_line_ends_between_words_and_not_in_a_command(
    monkeypatch: pytest.MonkeyPatch, text: str, columns: int
) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("COLUMNS", str(columns))
    report = Report(Style(no_color=True))
    report.result(text)
    report.message(text)
    for stream in (out, err):
        lines = stream.getvalue().splitlines()
        assert " ".join(lines).split() == text.split()
        for line in lines:
            whole = re.sub(r"^ *(`.*`\S*|(python|ssh) .*|\S+)$", "", line)
            assert len(whole) <= columns, "only one command or one word is longer"
        for command in (COMMAND, "python create_aws_infrastructure.py extend 6h"):
            assert command not in text or any(command in line for line in lines)
    report.problems([Problem("no answer", "a cause of words " * 9, f"run `{COMMAND}` once more")])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", err.getvalue())
    assert f"`{COMMAND}`" in shown
    assert max(map(len, shown.splitlines()[-4:])) <= max(columns, len(COMMAND) + 6)


def test_in_40_columns_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Row(Disk(LONG), Action.EXISTS, Found("lambda-fs-hopsfs_namenodes_ags"))
    lines = printed(monkeypatch, shown, columns=40)
    assert all(len(line) <= 40 for line in lines)
    letters = sorted("".join(lines).replace(" ", ""))
    assert letters == sorted(f"=exists{LONG}lambda-fs-hopsfs_namenodes_ags".replace(" ", ""))


AMI = 'r5.4xlarge × 3, ami-0700bf4465e5fd16d "lambdafs-zookeeper", deprecated since 2025-11-01'


def parts_of_a_plan() -> list[Row]:
    """Return a plan of two parts: one step to create, and three that exist."""
    return [
        Row(Disk("zookeeper", part="machines"), Action.CREATE, details=AMI),
        Row(Disk("vpc", part="network"), Action.EXISTS, Found("vpc-1"), details="10.0.0.0/16"),
        Row(Disk("subnet", part="network"), Action.EXISTS, Found("subnet-1")),
        Row(Disk("ndb", part="machines"), Action.EXISTS, Found("i-1")),
        Row(Disk("tables", part="machines"), Action.EXISTS, Found("", skipped="no scripts")),
    ]


@pytest.mark.parametrize("verbose", [False, True])
def test_a_terminal_groups_by_parts_with_prices_and_folds_what_exists(
    monkeypatch: pytest.MonkeyPatch, verbose: bool
) -> None:
    prices = {"machines": 8.1, "network": 0.05}
    lines = printed(monkeypatch, *parts_of_a_plan(), prices=prices, verbose=verbose)
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(" ".join(lines).split())
    assert text.index("machines $8.100/h") < text.index("network $0.050/h")
    assert f"+ create zookeeper {AMI}" in text
    assert "= skipped tables no scripts" in text
    assert ("vpc-1, 10.0.0.0/16" in text) is verbose
    assert ("= exists 2 steps; -v lists them" in text) is not verbose
    assert ("= exists 1 step; -v lists it" in text) is not verbose


def test_a_pipe_has_a_line_for_each_step_in_the_order_of_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = parts_of_a_plan()
    lines = printed(
        monkeypatch, *rows, prices={"machines": 1.0}, stream=io.StringIO(), verbose=False
    )
    assert [line.split()[2] for line in lines] == [row.step.name for row in rows]
    assert lines[0].endswith(AMI)
    assert lines[1].endswith("vpc-1")


def test_the_drift_alone_has_a_line_for_each_difference(capsys: pytest.CaptureFixture[str]) -> None:
    drifted = Found("vol-1", drift=(Drift("size", "8", "16"), Drift("zone", "a", "b", "move it")))
    report = Report(Style(no_color=True))
    report.drift([*parts_of_a_plan(), row(Action.CONFLICT, drifted)])
    assert capsys.readouterr().out.splitlines() == [
        "+ zookeeper: does not exist",
        f"    {AMI}",
        "! disk: vol-1",
        "    size: 8 -> 16",
        "    zone: a -> b",
        "      Fix: move it",
        "2 of 6 differ.",
    ]
    report.drift(parts_of_a_plan()[1:])
    assert capsys.readouterr().out.splitlines() == ["Nothing differs."]


@pytest.mark.parametrize("columns", [40, 80])
def test_in_a_pipe_one_row_is_one_line(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    reason = "a reason " * 30
    lines = printed(
        monkeypatch,
        Row(Disk(LONG), Action.UNKNOWN, error=SetupError(reason)),
        Row(Disk("disk"), Action.EXISTS, Found("vol-1")),
        columns=columns,
        stream=io.StringIO(),
    )
    assert len(lines) == 2
    assert lines[0].endswith(reason.strip())
    assert lines[1].endswith("vol-1")


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_plan_without_steps_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]
) -> None:
    assert printed(monkeypatch, stream=stream()) == []


def test_columns_are_aligned_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(Action.CREATE), Row(Disk("vpc of λFS"), Action.EXISTS, Found("vpc-1"))]
    assert printed(monkeypatch, *rows, stream=io.StringIO()) == [
        "+ create  disk",
        "= exists  vpc of λFS  vpc-1",
    ]


def test_an_error_has_its_cause_behind_it_and_its_fix_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = Report(Style(no_color=True))
    report.problems([Problem("no key pair", "us-east-1 has none", "import one")])
    report.problems([Problem("no region", "")], warning=True)
    assert capsys.readouterr().err.splitlines() == [
        "error: no key pair: us-east-1 has none",
        "  Fix: import one",
        "warning: no region",
    ]


def test_a_message_in_a_pipe_is_not_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Report(Style()).message("word " * 40)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("columns", [80, 60])
def test_the_live_table_keeps_names_and_one_line_for_each_step(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    console = Report(Style()).err
    with live(console, {LONG: (), "disk": (LONG,)}) as progress:
        progress(StepEvent(1.0, EventKind.START, LONG, Action.CREATE))
        progress(StepEvent(2.0, EventKind.NOTE, LONG, text="a state of many words " * 5))
    table = stream.getvalue()
    assert LONG in table
    assert "waits for" in table


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_file_gets_lines_and_no_live_table_whatever_variables_say(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """CI sets them, and its log is a file."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "1")
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with Report(Style()).progress({"vpc": ()}) as tell:
        tell(StepEvent(0.0, EventKind.START, "vpc"))
        tell(StepEvent(1.0, EventKind.DONE, "vpc", Action.CREATE))
    assert "\x1b[1A" not in stream.getvalue()
    assert "\x1b[?25l" not in stream.getvalue(), "the cursor is not hidden"
    assert stream.getvalue().count("\n") == 1, "an event is a line"
    monkeypatch.setattr("sys.stderr", Terminal())
    assert Report(Style()).live
