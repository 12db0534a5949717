"""The page of --html: complete, escaped, offline, and written however a run ends."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config
from aws_setup.engine.history import PlannedStep, RunEnded, RunRecord, RunStarted, read_events
from aws_setup.engine.runner import EventKind, StepEvent
from aws_setup.engine.step import Action
from aws_setup.errors import Problem, Refused
from aws_setup.report.page import check_target, page, write_page
from tests.engine.test_history import written
from tests.report.test_timeline import NEEDS, recorded
from tests.support.config import SAMPLE
from tests.support.script_runs import ROOT

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page, read strictly: its tables, its texts, its ids, and every element with attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.bold: set[str] = set()
        self._row_class = ""
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self._row_class = str(dict(attrs).get("class", ""))
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> is not what was open"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data.strip())
        if self.open and self.open[-1] in {"td", "th"}:
            self.rows[-1][-1] += data.strip()
            if self.open[-1] == "th" and "critical" in self._row_class.split():
                self.bold.add(data.strip())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == first)


def read(*records: RunRecord, config: Config | None = SAMPLE, **more: Any) -> Page:
    return Page(page(records, config=config, **more))


def planned() -> RunRecord:
    """Return a run of all of NEEDS that succeeded."""
    record = recorded(end=RunEnded("ok", 601.0, 42))
    head = RunStarted(
        "create",
        "create_aws_infrastructure.py",
        deployment="zoo",
        region="us-east-1",
        started="2026-11-23T12:00:00+00:00",
        needs=NEEDS,
        hourly_usd=1.5,
        parts={"machines": 1.0, "eks": 0.5},
        plan={step: PlannedStep("create") for step in NEEDS},
    )
    return RunRecord(head, record.events, record.end)


def test_every_step_is_in_the_table_with_what_it_needs_and_how_long_it_took() -> None:
    read_page = read(planned())
    for step, needs in NEEDS.items():
        row = read_page.row(step)
        assert row[1:4] == ["create", "created", f"{step}-1"]
        assert row[4] == ", ".join(needs)
    assert read_page.row("cluster")[5:] == ["9.5 s", "9 min 50 s"]
    assert "done" in read_page.row("create")
    assert read_page.row("create")[-1] == "42"


def test_the_critical_path_is_marked_in_timeline_and_table() -> None:
    text = page([planned()], config=SAMPLE)
    assert Page(text).bold == {"role", "cluster"}
    marked = set(re.findall(r'class="name critical"[^>]*>([^<]+)<', text))
    assert marked == {"role", "cluster"}
    assert "Critical path: role → cluster." in text


def test_costs_are_by_part_an_hour_and_a_month() -> None:
    read_page = read(planned())
    assert read_page.row("machines")[1:] == ["1.000", "730.00"]
    assert read_page.row("total")[1:] == ["1.500", "1,095.00"]


def test_names_and_reasons_are_escaped() -> None:
    evil = '<script>alert("1")</script>'
    problem = Problem(evil, evil, evil)
    head = RunStarted(evil, evil, evil, evil, evil, {evil: (evil,)}, 1.0, {evil: 1.0})
    failed = StepEvent(1.0, EventKind.FAILED, evil, Action.CREATE, evil, evil)
    done = StepEvent(2.0, EventKind.DONE, f"{evil}2", Action.CREATE, evil, evil)
    record = RunRecord(head, (failed, done), RunEnded("failed", 2.0, 1, (problem,)))
    config = Config(ssh_keypair_name="k", ssh_key_path="k", vpc_name=evil)
    text = page([record, record], config=config, facts=[evil])
    assert "<script" not in text
    assert evil in Page(text).text


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    text = page([planned()], config=SAMPLE)
    read_page = Page(text)
    outside = {"script", "link", "iframe", "img", "object", "embed", "base", "use", "image"}
    assert not outside & {tag for tag, _ in read_page.elements}
    for _, attributes in read_page.elements:
        assert not {name for name in attributes if name.startswith("on")}
        assert not {"src", "href", "action", "xlink:href"} & attributes.keys()
    without = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|url\((?!#)|@import", without)
    [policy] = [m for m in read_page.of("meta") if m.get("http-equiv")]
    assert str(policy["content"]).startswith("default-src 'none'")


def test_it_can_be_read_aloud() -> None:
    read_page = read(planned(), planned())
    tags = [tag for tag, _ in read_page.elements]
    assert (tags.count("main"), tags.count("header"), tags.count("h1")) == (1, 1, 1)
    assert [html["lang"] for html in read_page.of("html")] == ["en"]
    assert all(head.get("scope") in {"row", "col"} for head in read_page.of("th"))
    ids = [attributes["id"] for _, attributes in read_page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids)), "ids are unique, also with several runs"
    assert tags.count("svg") == 5
    for image in read_page.of("svg"):
        assert image["role"] == "img"
        assert set(str(image["aria-labelledby"]).split()) <= set(ids)
    for _, attributes in read_page.elements:
        assert str(attributes.get("aria-labelledby", ids[0])).split()[0] in ids


def contrast(one: str, other: str) -> float:
    """Return WCAG 2's contrast of two colours."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_texts_have_enough_contrast_in_light_and_dark_mode() -> None:
    schemes = re.findall(r":root \{([^}]*--ink[^}]*)\}", page([planned()]))
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for name in ("ink", "soft", "good", "blue", "bad", "warn"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name


def test_the_problems_of_a_failed_run_are_at_the_top() -> None:
    record = recorded(
        {"vpc": (0.0, 2.0)},
        StepEvent(2.0, EventKind.START, "subnet", Action.CREATE),
        StepEvent(4.0, EventKind.FAILED, "subnet", Action.CREATE, "quota of subnets"),
        StepEvent(4.0, EventKind.BLOCKED, "machine"),
        end=RunEnded("failed", 4.0, 3, (Problem("subnet: quota", "200 exist", "ask for more"),)),
    )
    read_page = read(record)
    text = read_page.text
    assert text.index("subnet: quota: 200 exist") < text.index("Architecture")
    assert "Fix: ask for more" in text
    assert read_page.row("subnet")[2] == "failed"
    assert "quota of subnets" in text
    assert "1 of 6" in read_page.row("create"), "a failed step changed nothing"
    assert read_page.row("machine")[2] == "not started"
    assert "create failed" in text


def test_the_title_has_a_common_result_once() -> None:
    done = RunRecord(RunStarted("create", "s", deployment="zoo"), (), RunEnded("ok", 1.0, 1))
    failed = RunRecord(
        RunStarted("configure", "c", deployment="zoo"), (), RunEnded("failed", 1.0, 1)
    )
    assert "<h1>zoo: create, create done</h1>" in page([done, done])
    assert "<h1>zoo: create done, configure failed</h1>" in page([done, failed])


def test_a_run_that_was_killed_has_no_end() -> None:
    record = recorded({"vpc": (0.0, 2.0)}, StepEvent(2.0, EventKind.START, "subnet", Action.CREATE))
    read_page = read(record)
    assert "did not end" in read_page.row("create")
    assert read_page.row("subnet")[2] == "unfinished"


def test_a_refused_run_has_a_page_with_the_reason_and_nothing_else() -> None:
    end = RunEnded("refused", 0.0, 0, (Problem("no credentials", "they expired", "log in"),))
    read_page = read(RunRecord(RunStarted("create", "s"), (), end))
    assert "no credentials: they expired" in read_page.text
    assert "No step was inspected." in read_page.text
    assert "Timeline" not in read_page.text
    assert "Costs" not in read_page.text


def states(text: str) -> dict[str, int]:
    """Return the state labels of the architecture diagram with their number."""
    words = re.findall(r'<text class="state[^>]*>([^<]+)<', text)
    return {word: words.count(word) for word in words}


def test_the_architecture_shows_the_state_of_each_resource() -> None:
    plan = {"vpc": PlannedStep("exists", "vpc-1"), "zookeeper": PlannedStep("create")}
    steps = {
        "public subnet 1": EventKind.FAILED,
        "nat gateway": EventKind.BLOCKED,
        "eks cluster": EventKind.START,
    }
    events = tuple(StepEvent(1.0, kind, step, Action.CREATE) for step, kind in steps.items())
    text = page([RunRecord(RunStarted("create", "s", plan=plan), events)], config=SAMPLE)
    assert states(text) == dict.fromkeys(["exists", "failed", "unfinished"], 1) | {"not started": 2}


def test_earlier_runs_show_what_exists_already() -> None:
    made = StepEvent(1.0, EventKind.DONE, "vpc", Action.CREATE, id="vpc-1")
    failed = StepEvent(1.0, EventKind.FAILED, "zookeeper", Action.CREATE)
    earlier = RunRecord(RunStarted("create", "s"), (made, failed))
    now = RunRecord(
        RunStarted("configure", "c"), (StepEvent(1.0, EventKind.DONE, "core-nodes", Action.CREATE),)
    )
    text = page([now], config=SAMPLE, earlier=[earlier])
    assert states(text) == {"exists": 1, "created": 1}


def test_after_destroy_the_diagram_shows_the_state_before_it() -> None:
    made = RunRecord(
        RunStarted("create", "s"), (StepEvent(1.0, EventKind.DONE, "vpc", Action.CREATE),)
    )
    used = RunRecord(
        RunStarted("configure", "c"), (StepEvent(1.0, EventKind.DONE, "vpc", Action.EXISTS),)
    )
    gone = RunRecord(
        RunStarted("destroy", "s"), (StepEvent(1.0, EventKind.DONE, "vpc", Action.DELETE),)
    )
    text = page([made, used, gone], config=SAMPLE)
    assert states(text) == {"created": 1}
    assert "before destroy" in text
    assert states(page([gone], config=SAMPLE)) == {"deleted": 1}


def test_costs_of_several_scripts_add_up_and_the_newest_of_one_counts() -> None:
    runs = [
        RunRecord(RunStarted("create", "a", parts={"eks": 0.1, "machines": 9.0})),
        RunRecord(RunStarted("create", "a", parts={"eks": 0.1, "machines": 10.0})),
        RunRecord(RunStarted("configure", "b", parts={"eks": 0.4})),
    ]
    read_page = read(*runs)
    assert read_page.row("machines")[1] == "10.000"
    assert read_page.row("eks")[1] == "0.500"


def test_a_page_replaces_an_older_one(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("<!DOCTYPE html>old")
    check_target(target)
    write_page(target, [planned()], config=SAMPLE)
    assert target.read_text(encoding="utf-8") == page([planned()], config=SAMPLE)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".html"] == ["page.html"]


def test_targets_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for target in (tmp_path, tmp_path / "no" / "page.html", file / "page.html"):
        with pytest.raises(Refused, match="the report cannot be written"):
            check_target(target)
    if Path("/dev/null").exists():
        with pytest.raises(Refused, match="is not a regular file"):
            check_target(Path("/dev/null"))
    check_target(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]


KILLED = """
import sys, time
from pathlib import Path
from aws_setup.report.page import check_target
def stop(*_):
    print("ready", flush=True)
    time.sleep(600)
Path.unlink = stop
check_target(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="knows processes by /proc")
def test_what_a_killed_check_has_left_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "page.html")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
        finally:
            process.kill()
    assert list(tmp_path.glob(".page.html.*"))
    check_target(tmp_path / "page.html")
    assert list(tmp_path.glob(".page.html.*")) == []


def test_the_page_of_a_log_is_that_of_its_record(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = written(path, StepEvent(101.0, EventKind.DONE, "vpc", Action.CREATE, id="vpc-1"))
    assert page(read_events(path)) == page([log.record()])


def test_a_very_short_run_has_a_table_and_no_timeline() -> None:
    text = page([recorded({"vpc": (0.0, 0.4)}, end=RunEnded("ok", 0.4, 1))])
    assert 'id="timelines"' not in text
    assert Page(text).row("vpc")[2] == "created"
    assert "0.4 s" in Page(text).row("create")


def test_a_file_that_is_not_a_page_is_not_replaced(tmp_path: Path) -> None:
    config = tmp_path / "config_aws.yaml"
    config.write_text("aws_region: us-east-1\n")
    with pytest.raises(Refused, match="is not an HTML file"):
        check_target(config)
    (tmp_path / "empty").write_text("")
    check_target(tmp_path / "empty")


def test_invalid_characters_of_a_machine_do_not_prevent_the_page(tmp_path: Path) -> None:
    log = written(
        tmp_path / "log", StepEvent(101.0, EventKind.FAILED, "ssh", text="\udcff\x00 \x1b[31m")
    )
    write_page(tmp_path / "page.html", [log.record()])
    [record] = read_events(tmp_path / "log")
    assert record.events[0].text == "?\\x00 \\x1b[31m"


def test_the_checks_of_verify_are_rows_in_their_order() -> None:
    def check(name: str, result: str, cause: str, fix: str = "") -> dict[str, Any]:
        return {"name": name, "result": result, "cause": cause, "fix": fix, "seconds": 1.2}

    text = page(
        [RunRecord(RunStarted(command="verify", script="create_aws_infrastructure.py"))],
        checks=[
            check("client", "pass", "lambda-fs-client-driver (1.2.3.4)"),
            check("client to mysqld", "fail", "<b> times out", "run create & wait"),
            check("database login", "skipped", "needs 'client to mysqld', which failed"),
        ],
    )
    rows = [row for row in Page(text).rows if row[0] in {"client", "client to mysqld"}]
    assert [row[:2] for row in rows] == [["client", "pass"], ["client to mysqld", "fail"]]
    assert "&lt;b&gt; times out" in text
    assert "Fix: run create &amp; wait" in text
    assert "No step was inspected" not in text
