"""helm without helm: its output as data, its errors, its versions, and when it is retried."""

from __future__ import annotations

import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from aws_setup.aws.context import Context
from aws_setup.config.chart_source import redact
from aws_setup.engine import deadline
from aws_setup.errors import Refused, SetupError
from aws_setup.openwhisk import helm, helm_connection, local_program
from aws_setup.openwhisk.helm import (
    Helm,
    find_helm,
)
from aws_setup.openwhisk.helm_connection import retry_when_unreachable
from aws_setup.openwhisk.immutable_fields import immutable_changes
from aws_setup.openwhisk.local_program import ProgramFailed, message_ends
from tests.support.kube import HELM, tool
from tests.support.openwhisk import QuickClock


def failure(output: str) -> ProgramFailed:
    return ProgramFailed("helm upgrade failed", output, "", output=output)


@dataclass
class FakeRun:
    """Stands in for `helm.run`: records the commands; answers, or raises the errors in turn."""

    answers: list[str | Exception] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def __call__(self, command: Sequence[str], *, given: str = "", **_: Any) -> str:
        self.commands.append(list(command))
        self.given.append(given)
        if "--kubeconfig" in command:
            path = Path(command[list(command).index("--kubeconfig") + 1])
            self.files["--kubeconfig"] = path.read_text(encoding="utf-8")
            self.files["mode"] = oct(path.stat().st_mode & 0o777)
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    run = FakeRun()
    monkeypatch.setattr(helm, "run", run)
    return run


OWDEV = Helm("/bin/helm", "owdev", "openwhisk", kubeconfig=lambda: "kind: Config\n")


def test_uninstalling_a_missing_release_is_fine(fake: FakeRun) -> None:
    fake.answers = [failure("Error: uninstall: Release not loaded: owdev: release: not found")]
    OWDEV.uninstall()
    fake.answers = [failure("Error: failed to delete release: owdev")]
    with pytest.raises(ProgramFailed):
        OWDEV.uninstall()


def test_values_are_passed_on_standard_input_and_a_token_in_a_private_file(fake: FakeRun) -> None:
    OWDEV.upgrade(Path("chart"), {"auth": "secret"}, description="lambda-fs 0123")
    (command,) = fake.commands
    assert command[1:5] == ["upgrade", "owdev", "chart", "--install"]
    assert command[command.index("--namespace") + 1] == "openwhisk"
    assert command[command.index("--description") + 1] == "lambda-fs 0123"
    assert not any("secret" in word for word in command)
    assert command[command.index("--values") + 1] == "-"
    assert yaml.safe_load(fake.given[0]) == {"auth": "secret"}
    assert fake.files["--kubeconfig"] == "kind: Config\n"
    assert fake.files["mode"] == "0o600"
    assert not Path(command[command.index("--kubeconfig") + 1]).exists()


TEXTS = ["4711e08", "0899", "y", "1_000", "1:30", "2024-01-01", "\N{GRINNING FACE}\u2028\x7f", "7"]


@pytest.mark.parametrize("version", HELM)
def test_helm_reads_every_text_as_one(tmp_path: Path, version: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: o, version: 1.0.0}\n")
    (tmp_path / "templates" / "a.yaml").write_text("read: {{ toJson .Values | quote }}\n")
    real = Helm(str(tool("helm", version)), "owdev", "openwhisk")
    values = {"texts": TEXTS, "numbers": [7, 1.5, True, None], "0899": {"n": "n"}}
    (rendered,) = real.rendered(tmp_path, values)
    assert json.loads(rendered["read"]) == values


def test_conflicts_with_edits_by_hand_are_overwritten_and_other_errors_are_not(
    fake: FakeRun,
) -> None:
    fake.answers = [failure("Error: Apply failed with 1 conflict: .data.user_memory"), ""]
    OWDEV.upgrade(Path("chart"), {"size": 1}, description="new")
    assert ["--force-conflicts" in command for command in fake.commands] == [False, True]
    assert fake.given == ["size: 1\n"] * 2
    fake.answers = [failure("Error: field is immutable")]
    with pytest.raises(ProgramFailed):
        OWDEV.upgrade(Path("chart"), {}, description="new")
    assert len(fake.commands) == 3


def job(name: str, image: str) -> dict[str, Any]:
    return {"kind": "Job", "metadata": {"name": name}, "spec": {"template": {"image": image}}}


def pod(name: str, image: str) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name}, "spec": {"image": image}}


def test_jobs_and_pods_in_both_revisions_with_another_template_change() -> None:
    service = {"kind": "Service", "metadata": {"name": "changed"}, "spec": {}}
    before = [job("same", "1"), job("changed", "1"), job("old", "1"), service]
    after = [job("same", "1"), job("changed", "2"), job("new", "1"), service]
    assert [item.name for item in immutable_changes([before], after)] == ["changed"]
    assert immutable_changes([[*after, pod("wsk", "1")]], [*after, pod("wsk", "1")]) == []
    assert immutable_changes([], after) == []
    # After an interrupted upgrade nobody knows which of two manifests is applied.
    two = [[job("a", "1"), pod("wsk", "1")], [job("a", "2"), pod("wsk", "2")]]
    changed = immutable_changes(two, [job("a", "2"), pod("wsk", "2")])
    assert [(item.kind, item.name) for item in changed] == [("Job", "a"), ("Pod", "wsk")]


@pytest.mark.parametrize("version", ["v3.8.0", "v3.17.3", "v4.0.0", "v4.3.1+g1a2b"])
def test_supported_versions(fake: FakeRun, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    fake.answers = [version]
    assert find_helm() == "/bin/helm"


@pytest.mark.parametrize("version", ["v3.7.9", "v2.17.0", "no version\n"])
def test_an_old_helm_is_refused_with_its_version(
    fake: FakeRun, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    fake.answers = [version]
    with pytest.raises(Refused) as caught:
        find_helm()
    assert version.strip() in caught.value.problems[0].why


def test_a_program_is_asked_for_its_version_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts in a tenth of a second, and a run needs its version four times."""
    program, asked = tmp_path / "helm", tmp_path / "asked"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def install(version: str) -> None:
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\necho >> {asked}\necho {version}\n")
        program.chmod(0o755)

    install("v4.1.0")
    assert {find_helm() for _ in range(3)} == {str(program)}
    assert helm.helm_version(str(program)) == "v4.1.0"
    assert asked.read_text() == "\n"
    install("v2.17.0")
    with pytest.raises(Refused, match="too old"):
        find_helm()


def test_the_failure_of_a_program_names_signal_output_or_exit_code() -> None:
    for script, why in (
        ("kill -9 $$", "killed by signal 9"),
        ("echo '  no \n such  thing' >&2; exit 3", "no such thing"),
        ("exit 3", "exit code 3"),
    ):
        with pytest.raises(ProgramFailed) as caught:
            local_program.run(["sh", "-c", script])
        assert why in caught.value.problems[0].why
    with pytest.raises(SetupError) as missing:
        local_program.run(["/no/such/program"])
    assert missing.value.problems[0].what == "cannot start /no/such/program"
    assert local_program.run(["sh", "-c", "echo $A"], environ={"A": "b"}) == "b\n"


@pytest.mark.parametrize(
    ("output", "unreachable"),
    [
        ("Error: Kubernetes cluster unreachable: Get https://x/version: net/http", True),
        ("Error: query: failed to query with labels: dial tcp: connection refused", True),
        ('Get "https://x/api": EOF', True),
        ("etcdserver: request timed out", True),
        ("the server has asked for the client to provide credentials", True),
        ("Error: UPGRADE FAILED: field is immutable", False),
        ("Error: release: not found", False),
    ],
)
def test_which_failures_mean_that_the_api_server_is_unreachable(
    output: str, unreachable: bool
) -> None:
    assert failure(output).unreachable is unreachable


@dataclass
class Attempted:
    """What one call of retry_when_unreachable did."""

    clock: QuickClock = field(default_factory=QuickClock)
    retried: list[bool] = field(default_factory=list)
    requests: int = 0
    notes: list[str] = field(default_factory=list)

    def run(self, monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> str:
        """Call it with an operation that raises the errors in turn and then returns 'done'."""
        pending = list(errors)

        def act(retried: bool) -> str:
            self.retried.append(retried)
            if pending:
                raise pending.pop(0)
            return "done"

        def get(*_: Any) -> None:
            self.requests += 1

        client: Callable[[Any], Any] = lambda _: SimpleNamespace(get=get)  # noqa: E731
        monkeypatch.setattr(helm_connection, "kube_client", client)
        config = SimpleNamespace(openwhisk_namespace="openwhisk")
        ctx = SimpleNamespace(clock=self.clock, note=self.notes.append, config=config)
        return retry_when_unreachable(cast(Context, ctx), act)


def test_an_unreachable_api_server_is_waited_for_between_five_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempted = Attempted()
    assert attempted.run(monkeypatch, *[failure("cluster unreachable")] * 4) == "done"
    assert attempted.retried == [False, True, True, True, True]
    assert attempted.clock.pauses == [2.0, 4.0, 6.0, 8.0]
    assert attempted.requests == len(attempted.notes) == 4


def test_the_fifth_failure_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    attempted = Attempted()
    with pytest.raises(ProgramFailed):
        attempted.run(monkeypatch, *[failure("i/o timeout")] * 9)
    assert len(attempted.retried) == 5
    assert attempted.requests == 4


def test_another_failure_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    attempted = Attempted()
    with pytest.raises(ProgramFailed):
        attempted.run(monkeypatch, failure("field is immutable"))
    assert attempted.clock.pauses == []
    assert attempted.requests == 0


def wait_ended(process: int) -> None:
    """Return when a process has ended; without that the test would run into its time limit."""
    status = Path(f"/proc/{process}/status")
    with suppress(OSError):
        while "State:\tZ" not in status.read_text():
            time.sleep(0.01)


CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "w") as file:
    file.write(str(child.pid))
time.sleep(600)
"""


@pytest.mark.kind("C4")
def test_a_program_and_what_it_started_end_at_the_deadline_of_the_wait_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "LAST_TRY", 1.0)
    ids = tmp_path / "child"
    # The child holds the output open: reading it to its end would take ten minutes.
    with (
        pytest.raises(SetupError, match="did not end within 1 s"),
        deadline.within(0.0, clock=QuickClock()),
    ):
        local_program.run([sys.executable, "-c", CHILD, str(ids)])
    if ids.exists():
        wait_ended(int(ids.read_text()))


FLOOD = "import sys; sys.stdout.write('begin' + ' xy' * 4_000_000 + ' end'); sys.stdout.flush(); "


@pytest.mark.kind("C4")
def test_of_much_output_of_a_program_beginning_and_end_are_kept(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="printed too much"):
        local_program.run([sys.executable, "-c", FLOOD])
    errors = FLOOD.replace("stdout", "stderr")
    assert local_program.run([sys.executable, "-c", errors + "print('done')"]) == "done\n"
    for flood in (FLOOD, errors):
        tracemalloc.start()
        with pytest.raises(ProgramFailed) as caught:
            local_program.run([sys.executable, "-c", flood + "sys.exit(3)"])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.value.output.startswith("begin xy")
        assert caught.value.output.endswith("xy end")
        assert most < 50_000_000, "with a string for each word it is 250 MB"


@pytest.mark.kind("C1")
def test_no_part_of_a_password_in_a_url_is_shown_of_much_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the text is cut: only a whole URL is recognised."""
    url = "https://user:canary@git.example.org/chart "
    for cut in range(len(url)):
        monkeypatch.setattr(local_program, "MESSAGE_END", 1000 + cut)
        shown = redact(message_ends(url * 900))
        assert "canary" not in shown
        assert "user" not in shown
        assert len(shown) < 2200
        assert message_ends("x" * 90_000) == " … "


@pytest.mark.kind("C1")
def test_what_a_program_reads_is_complete_and_has_no_name(tmp_path: Path) -> None:
    """A run that is killed meanwhile leaves nothing, and no part is taken for the whole."""
    values = "".join(f"key{number}: value\n" for number in range(20_000))
    read = "import os, sys; print(os.fstat(0).st_nlink); print(sys.stdin.read(), end='')"
    answer = local_program.run([sys.executable, "-c", read], given=values)
    assert answer == f"0\n{values}"
    nothing = "import sys; print(repr(sys.stdin.read()))"
    assert local_program.run([sys.executable, "-c", nothing]) == "''\n"


@pytest.mark.kind("C4")
def test_what_a_program_leaves_running_does_not_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `git fetch` does with its `gc --auto` in the background."""
    monkeypatch.setattr(local_program, "OPEN_OUTPUT_SECONDS", 0.2)
    leaving = CHILD.replace("time.sleep(600)\n", "print('done')\n")
    assert local_program.run([sys.executable, "-c", leaving, str(tmp_path / "child")]) == "done\n"
    wait_ended(int((tmp_path / "child").read_text()))
