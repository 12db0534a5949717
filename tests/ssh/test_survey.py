"""Several questions in one command: the answers, what fails among them, and when they count."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh.errors import RemoteError
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.files import ABSENT, NAME
from aws_setup.ssh.survey import (
    QUESTION_TIMEOUT,
    RUN,
    SURVEY,
    Question,
    Survey,
    facts_question,
    parse_answers,
    read_question,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Ubuntu")


class LocalMachine:
    """Runs commands on this computer; `prints` comes before each output, as from a .bashrc."""

    def __init__(self, *, prints: str = "", fails: bool = False) -> None:
        self.prints, self.fails = prints, fails
        self.commands: list[list[str]] = []

    def run(self, command: list[str], **_: Any) -> CommandResult:
        self.commands.append(command)
        if self.fails:
            raise RemoteError("vm", "ask", code=1, output="sudo: a password is required")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return CommandResult(done.returncode, self.prints + done.stdout, done.stderr)

    def read(self, path: str, *, sudo: bool = False) -> str | None:
        self.commands.append(["read", path])
        return Path(path).read_text()

    def facts(self, *paths: str, sudo: bool = False) -> Any:
        self.commands.append(["facts", *paths])
        return {}


def vm(**options: Any) -> Any:
    return LocalMachine(**options)


def test_all_that_is_expected_is_asked_at_once_and_counts_until_a_change(tmp_path: Path) -> None:
    text = tmp_path / "it's a file.txt"
    text.write_text("two\n\nlines, the last one not ended: ä 7")
    absent, echo = str(tmp_path / "none"), Question(RUN, ("printf", "%s", "a b"))
    machine, survey = vm(), Survey()
    survey.expect(machine, [read_question(str(text)), read_question(absent), echo])
    survey.expect(machine, [facts_question(str(text), absent), echo])
    assert survey.read(machine, str(text)) == text.read_text()
    assert survey.read(machine, absent) is None
    assert survey.answer(machine, echo) == CommandResult(0, "a b", "")
    assert list(survey.facts(machine, str(text), absent)) == [str(text)]
    assert len(machine.commands) == 1, "one command"
    assert survey.answer(machine, Question(RUN, ("true",))) is None, "it was not expected"
    survey.forget()
    assert survey.answer(machine, echo) is None, "it may be another one now"
    assert len(machine.commands) == 1


def test_a_question_that_fails_or_hangs_has_no_answer_and_the_others_have() -> None:
    hangs, fails = Question("sleep 60\n"), Question("echo half; exit 3\n")
    absent, good = Question(f"exit {ABSENT}\n"), Question("cat; echo fine\n")
    script = SURVEY.replace(f"-k 1 {QUESTION_TIMEOUT} ", "-k 1 0.3 ")
    assert script != SURVEY
    lines = [question.line for question in (hangs, fails, absent, good)]
    done = subprocess.run(["sh", "-c", script, NAME, *lines], capture_output=True, check=True)
    answers = parse_answers(done.stdout.decode())
    assert [answer.code for answer in answers] == [124, 3, ABSENT, 0]
    assert answers[3].stdout == "fine\n"
    machine, survey = vm(), Survey()
    survey.expect(machine, [fails, absent, good])
    found = [survey.answer(machine, question) for question in (fails, absent, good)]
    assert [answer and answer.code for answer in found] == [None, ABSENT, 0]


@pytest.mark.parametrize("broken", [{"fails": True}, {"prints": "Welcome!\n"}, {"prints": "ab=="}])
def test_without_a_usable_answer_each_question_is_asked_alone(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    machine, survey = vm(**broken), Survey()
    survey.expect(machine, [read_question(str(path)), facts_question(str(path))])
    assert survey.read(machine, str(path)) == "x"
    assert survey.facts(machine, str(path)) == {}
    assert [command[0] for command in machine.commands] == ["sh", "read", "facts"]


@pytest.mark.parametrize(
    "output", ["", "!\n", "YSAw\nhello world\n", "YSAw\nYSA\n", "é\n", "YSAw" * 3 + "Y\n"]
)
def test_damaged_lines_are_no_answers(output: str) -> None:
    assert parse_answers(output) == []


def test_an_answer_without_its_exit_code_has_failed() -> None:
    assert [answer.code for answer in parse_answers("YSAw\nYQ==\nYSDCsg==\n")] == [0, -1, -1]


@contextmanager
def listening(answer: bytes, *, closes: bool) -> Iterator[int]:
    """Answer one connection on a port of this computer, and then close it or not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4) == b"srvr"
                try:
                    connection.sendall(answer)
                except OSError:
                    return
                if not closes:
                    done.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join()


def srvr(port: int) -> CommandResult:
    script = zk.SRVR.replace(f"/{zk.CLIENT_PORT}", f"/{port}").replace("timeout 5", "timeout 0.3")
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    return CommandResult(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    ("answer", "closes", "mode"),
    [
        (b"Zxid: 0x1\nMode: leader\n", True, "leader"),
        (b"Zxid: 0x1\nMode: follower\n", False, "follower"),
        (b"Zxid: 0x1\nMo", True, ""),
        (b"", False, ""),
        (b"Mode: leader\n" + b"x" * 1_000_000, True, "leader"),
    ],
    ids=["whole", "stays open", "cut off", "hangs", "huge"],
)
def test_bash_asks_a_server_on_its_own_machine(answer: bytes, closes: bool, mode: str) -> None:
    with listening(answer, closes=closes) as port:
        result = srvr(port)
    assert result.code == 0
    assert len(result.stdout) <= 65536
    role = zk.parse_role(result.stdout.encode())
    assert role
    assert role.mode == mode


def test_where_no_server_listens_the_question_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert srvr(port).code == 1
