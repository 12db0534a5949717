"""Questions to the user: consent, and the loss of data. Without a terminal they are refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from aws_setup.engine.questions import require_main_thread
from aws_setup.engine.safe_text import one_line
from aws_setup.errors import Interrupted, Refused

Ask = Callable[[str], str]
"""Asks a question and returns the answer."""


def _has_terminal() -> bool:
    """Whether a user can answer; Python has no stdin at all where it was closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def secret_prompt_function() -> Ask | None:
    """Return the function that asks for a secret without echo; None without a terminal."""
    if not _has_terminal():
        return None
    return lambda question: _prompted(question, hide_input=True)


def prompt_function() -> Ask | None:
    """Return the function that asks a question; None without a terminal."""
    if not _has_terminal():
        return None
    return lambda question: _prompted(question, default="", show_default=False)


def _prompted(question: str, **how: Any) -> str:
    """Return the answer to a question.

    Raises:
        Interrupted: Ctrl-C, or the end of the input (Ctrl-D).
    """
    require_main_thread(question)
    try:
        return str(click.prompt(one_line(question), err=True, **how))
    except click.Abort as error:
        if not how.get("hide_input"):  # click ends the line of a secret itself
            click.echo(err=True)
        ended = isinstance(error.__context__, EOFError)
        raise Interrupted("the input has ended" if ended else "") from None


def confirm(action: str, *, yes: bool, ask: Ask | None, word: str = "") -> None:
    """Ask before the first write; --yes answers for the user.

    Args:
        action: what happens after consent, in the infinitive, as in "delete 3 resources".
        yes: whether --yes is set.
        ask: the prompt; None without a terminal.
        word: what the user has to type; '' means y.

    Raises:
        Refused: the user declined, or there is no terminal.
        Interrupted: the user did not answer; nothing has been changed.
    """
    if yes:
        return
    if ask is None:
        raise Refused(
            "cannot ask for confirmation", "stdin is not a terminal", f"add --yes to {action}"
        )
    question = f'Type "{word}" to {action}' if word else f"Type y to {action}"
    try:
        answer = ask(question).strip()
    except Interrupted as interrupted:
        raise Interrupted(interrupted.cause, unchanged=True) from None
    if answer not in ({word} if word else {"y", "Y", "yes"}):
        expected = f'"{word}"' if word else "y"
        raise Refused(
            "cancelled; nothing was changed",
            f"the answer was not {expected}",
            "run the same command again to proceed",
        )


def confirm_data_loss(name: str, *, ask: Ask | None) -> None:
    """Have the deployment's name typed before file systems are reformatted; --yes is not enough.

    Raises:
        Refused: another answer, or there is no terminal.
    """
    if ask is None:
        raise Refused(
            "--reformat requires a confirmation in a terminal",
            "stdin is not a terminal, and --yes does not confirm the loss of the file systems",
            "run it in a terminal, or without --reformat",
        )
    question = f'Type "{name}" to reformat the file systems, which DESTROYS ALL DATA'
    if ask(question).strip() != name:
        raise Refused(
            "cancelled; nothing was changed",
            f'the answer was not "{name}"',
            "leave --reformat out to keep the file systems",
        )
