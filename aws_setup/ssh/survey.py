"""What a run will ask of each machine, asked in one command: one round trip instead of many.

Steps say in advance which questions they will ask (`expect`). The first one of them that is asked
of a machine asks all of them; the others are answered from what was read. This counts until the run
changes something on a machine (`forget`); after that, and for each question that was not answered,
`answer` returns None, and the caller asks alone, so that its failure is reported as ever.
"""

from __future__ import annotations

import base64
import binascii
import shlex
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_setup.engine.decoding import whole_number
from aws_setup.ssh.errors import RemoteError
from aws_setup.ssh.exchange import CommandResult
from aws_setup.ssh.files import ABSENT, FACTS, NAME, READ, FileFacts, parse_facts

if TYPE_CHECKING:
    from aws_setup.ssh.machine import Machine

QUESTION_TIMEOUT = 20
"""Seconds for each question; one that takes longer is asked again alone, with its own limit."""

SURVEY = f"""\
for line in "$@"; do
  {{
    timeout -k 1 {QUESTION_TIMEOUT} sh -c "$line" < /dev/null 2> /dev/null
    printf ' %s' "$?"
  }} | base64 -w 0
  echo
done
"""
"""Arguments: command lines. Prints of each its output, a blank and its exit code, in Base64.

timeout and base64 are in Ubuntu's coreutils, which is part of every installation.
"""

RUN = 'exec "$@"\n'
"""Arguments: a program and its arguments."""


@dataclass(frozen=True)
class Question:
    """A shell script with its arguments that only reads; root runs it."""

    script: str
    arguments: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Its command line."""
        return shlex.join(["sh", "-c", self.script, NAME, *self.arguments])


def read_question(path: str) -> Question:
    """Return the question for a file's text."""
    return Question(READ, (path,))


def facts_question(*paths: str) -> Question:
    """Return the question for the facts of files."""
    return Question(FACTS, paths)


class Survey:
    """The expected questions and the answers of all machines of a run; safe for many threads."""

    def __init__(self) -> None:
        self._expected: dict[Machine, dict[Question, None]] = {}
        self._answers: dict[Machine, dict[Question, CommandResult]] = {}
        self._machines: dict[Machine, threading.Lock] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def expect(self, machine: Machine, questions: Iterable[Question]) -> None:
        """Note what will be asked of a machine; after its first question this has no effect."""
        with self._lock:
            self._expected.setdefault(machine, {}).update(dict.fromkeys(questions))

    def forget(self) -> None:
        """Note that something has been changed on a machine: all answers may be old ones."""
        with self._lock:
            self._changes += 1
            self._expected.clear()
            self._answers.clear()

    def answer(self, machine: Machine, question: Question) -> CommandResult | None:
        """Return the answer to an expected question: exit code 0, or ABSENT; None without one.

        Raises:
            ConnectionLost: the connection was lost.
            Unreachable: the machine cannot be reached.
        """
        with self._lock:
            turn = self._machines.setdefault(machine, threading.Lock())
        with turn:
            with self._lock:
                known = self._answers.get(machine)
                expected = list(self._expected.get(machine, ()))
                before = self._changes
            if known is None and question in expected:
                known = ask(machine, expected)
                with self._lock:
                    if before == self._changes:
                        self._answers[machine] = known
        return (known or {}).get(question)

    def read(self, machine: Machine, path: str, *, sudo: bool = False) -> str | None:
        """Return a file's text as `Machine.read` does."""
        known = self.answer(machine, read_question(path))
        if known is None:
            return machine.read(path, sudo=sudo)
        return None if known.code == ABSENT else known.stdout

    def facts(self, machine: Machine, *paths: str) -> dict[str, FileFacts]:
        """Return digest and modification time of those files that exist, read as root."""
        known = self.answer(machine, facts_question(*paths))
        return machine.facts(*paths, sudo=True) if known is None else parse_facts(known.stdout)


def ask(machine: Machine, questions: list[Question]) -> dict[Question, CommandResult]:
    """Return the answers to those questions that were answered; {} if the command failed."""
    command = ["sh", "-c", SURVEY, NAME, *(question.line for question in questions)]
    try:
        result = machine.run(command, sudo=True, repeatable=True, changes=False, label="ask")
    except RemoteError:
        # Without sudo, with too much output: each question, asked alone, reports it.
        return {}
    answers = parse_answers(result.stdout)
    if len(answers) != len(questions):
        return {}
    found = zip(questions, answers, strict=True)
    return {question: answer for question, answer in found if answer.code in {0, ABSENT}}


def parse_answers(output: str) -> list[CommandResult]:
    """Return the answers in the output of SURVEY; [] where a line is none, as those of a .bashrc.

    An answer that was cut off has no exit code, and counts as one that failed.
    """
    answers = []
    for line in output.splitlines():
        try:
            text = base64.b64decode(line, validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            return []
        stdout, _, code = text.rpartition(" ")
        number = whole_number(code)
        answers.append(CommandResult(-1 if number is None else number, stdout, ""))
    return answers
