"""Tests of the questions: consent, the loss of data, and which VPC is meant."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aws_setup.aws.context import Context
from aws_setup.cli.prompts import confirm, confirm_data_loss
from aws_setup.config import Config
from aws_setup.errors import Refused
from aws_setup.infrastructure import existing_network
from aws_setup.infrastructure.existing_network import ExistingVpc


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
