"""The numbers of requests in docs/whisk.md are those of the script; times are the benchmark's."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from aws_setup.namenodes.client import PAGE
from aws_setup.rehearsal.openwhisk.server import AUTH
from tests.support.openwhisk import make_jar, openwhisk
from whisk_helper import main

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "whisk.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| (\d+) \| ([^|]+) \| [^|]+ \| [^|]+ \| [^|]+ \| (\d+) \| (\d+) \| [^|]+ \|$", re.MULTILINE
)

FIRST, UNCHANGED, NEW_MEMORY = "first `--create`", "unchanged", "new memory"
RUNS = {
    FIRST: ("--create", "--memory", "20000"),
    UNCHANGED: ("--create", "--memory", "20000"),
    NEW_MEMORY: ("--update", "--memory", "30000"),
}

Counts = Callable[[int], dict[str, tuple[int, int]]]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Run the script as the benchmark does; return PUTs and requests of each run."""
    jar = str(make_jar(tmp_path / "nn.jar"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SETUP_PACE", "0")

    def counts(number: int) -> dict[str, tuple[int, int]]:
        found = {}
        with openwhisk() as whisk:
            monkeypatch.setenv("WHISK_APIHOST", whisk.url)
            monkeypatch.setenv("WHISK_AUTH", AUTH)
            for name, arguments in RUNS.items():
                whisk.requests.clear()
                words = ["-n", str(number), "--concurrency", "4", *arguments, "-j", jar]
                done = CliRunner().invoke(main, words)
                assert done.exit_code == 0, done.output
                found[name] = whisk.requests["PUT"], whisk.requests.total()
        return found

    return counts


def test_the_requests_of_the_table_are_those_of_the_script(measured: Counts) -> None:
    found = [(int(n), run, (int(p), int(r))) for n, run, p, r in ROW.findall(TEXT)]
    rows = [row for row in found if row[1] in RUNS]
    assert {(number, run) for number, run, _ in rows} >= {
        (number, run) for number in (20, 1000) for run in RUNS
    }
    shown = {(number, run): counts for number, run, counts in rows}
    small, page = measured(20), measured(PAGE)
    for run in RUNS:
        assert shown[20, run] == small[run]
    # An existing action is on one page of the list; a page that is full is followed by another.
    for run in (UNCHANGED, NEW_MEMORY):
        requests = small[run][1] - small[run][0]
        assert page[run][1] - page[run][0] == requests + 1
        puts = shown[1000, run][0]
        assert shown[1000, run][1] == puts + requests + 1000 // PAGE
    assert page[FIRST][1] - page[FIRST][0] == small[FIRST][1] - small[FIRST][0]
    assert shown[1000, FIRST] == (1000, 1000 + small[FIRST][1] - small[FIRST][0])


def test_the_table_names_the_jar_of_the_benchmark() -> None:
    benchmark = import_module("benchmarks.whisk")  # a program, which mypy checks as such
    encoded = benchmark.MEBIBYTES * 4 // 3
    stated = f"a jar of {benchmark.MEBIBYTES} MiB ({encoded} MiB of base64)"
    assert stated in " ".join(TEXT.split())
    sent = int(1000 * benchmark.MEBIBYTES * 4 / 3 / 1024 + 0.5)
    assert f"({sent} GiB sent)" in TEXT
