"""Tests of the questions: consent, the loss of data, and which VPC is meant."""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.mfa import ask_code
from aws_setup.cli.prompts import (
    confirm,
    confirm_data_loss,
    prompt_function,
    secret_prompt_function,
)
from aws_setup.config import Config
from aws_setup.engine.plan import inspect_step
from aws_setup.engine.reads import Reads
from aws_setup.engine.step import Found, RunContext, Step
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import Interrupted, Refused
from aws_setup.infrastructure import existing_network
from aws_setup.infrastructure.existing_network import ExistingVpc
from aws_setup.verify.check import Check, run_checks


def test_yes_and_the_right_answer_are_consent() -> None:
    confirm("delete 3 resources", yes=True, ask=None)
    confirm("delete 3 resources", yes=False, ask=lambda _: " y ")
    confirm("delete 3 resources", yes=False, ask=lambda _: "lambda-fs", word="lambda-fs")


@pytest.mark.parametrize(("answer", "word"), [("", ""), ("n", ""), ("y", "lambda-fs")])
def test_any_other_answer_cancels(answer: str, word: str) -> None:
    with pytest.raises(Refused, match="cancelled; nothing was changed"):
        confirm("delete 3 resources", yes=False, ask=lambda _: answer, word=word)


def test_without_a_terminal_the_fix_is_yes() -> None:
    with pytest.raises(Refused, match="stdin is not a terminal") as refused:
        confirm("delete 3 resources", yes=False, ask=None)
    assert refused.value.problems[0].hint == "add --yes to delete 3 resources"


def test_the_loss_of_data_needs_the_typed_name() -> None:
    confirm_data_loss("lambda-fs", ask=lambda _: "lambda-fs")
    with pytest.raises(Refused, match="cancelled"):
        confirm_data_loss("lambda-fs", ask=lambda _: "y")
    with pytest.raises(Refused, match="not a terminal"):
        confirm_data_loss("lambda-fs", ask=None)


@pytest.mark.parametrize(
    ("vpcs", "answer", "chosen"),
    [
        (["vpc-1", "vpc-2"], "vpc-2", "vpc-2"),
        (["vpc-1", "vpc-2"], "vpc-3", None),
        (["vpc-1"], "vpc-1", None),
    ],
)
def test_one_of_several_vpcs_with_the_name_is_chosen(
    monkeypatch: pytest.MonkeyPatch, vpcs: list[str], answer: str, chosen: str | None
) -> None:
    listed = [{"VpcId": vpc_id, "CidrBlock": "10.0.0.0/16"} for vpc_id in vpcs]
    monkeypatch.setattr(existing_network, "named_vpcs", lambda _: listed)
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return answer

    config = Config(ssh_keypair_name="k", ssh_key_path="k", create_vpc=False)
    ctx: Any = SimpleNamespace(config=config)
    ExistingVpc().prompt(cast(Context, ctx), ask)
    assert ctx.config.vpc_id == chosen
    assert len(questions) == (len(vpcs) > 1)


def test_no_question_is_asked_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C would wait for it, and the terminal stay without echo."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    asks = (prompt_function(), secret_prompt_function(), ask_code)
    with Reads("question") as reads:
        for ask in asks:
            assert ask is not None
            with pytest.raises(RuntimeError, match="outside of the main thread"):
                reads.start(partial(ask, "Who")).result()


class Stopped(Step[RunContext]):
    """A step during whose inspection Ctrl-C is pressed."""

    name = "stopped"

    def find(self, ctx: RunContext) -> Found | None:
        """Find nothing."""
        raise Interrupted

    def create(self, ctx: RunContext) -> Found:
        """Create nothing."""
        raise Interrupted


def test_what_handles_every_error_does_not_swallow_an_interrupt() -> None:
    def find(_: Any) -> str:
        raise Interrupted

    with pytest.raises(Interrupted):
        inspect_step(Stopped(), RunContext(clock=SystemClock()))
    with pytest.raises(Interrupted):
        list(run_checks([Check("it", find)], None, clock=SystemClock()))
    with pytest.raises(Interrupted):
        advice(partial(find, None), str)
