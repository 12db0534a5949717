"""The shell's completion of --only; verbs, options and files are completed by click itself."""

from __future__ import annotations

import os
import re

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from aws_setup.cli.step_names import only_names


def complete_only(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the steps, of `verify` the checks, whose names begin with what is typed."""
    names = only_names(ctx.command.name or "", _verb(ctx))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _verb(ctx: click.Context) -> str:
    """Return the typed verb, '' for none; click parses nothing while --only has no value yet."""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    for argument in ctx.command.params:
        if argument.name == "verb" and isinstance(argument.type, click.Choice):
            return next((word for word in words[1:] if word in argument.type.choices), "")
    return ""


class QuotingBash(BashComplete):
    """click's completion for bash, with spaces escaped: bash inserts a word as it is.

    zsh and fish escape what they insert themselves.
    """

    def format_completion(self, item: CompletionItem) -> str:
        """Return a word as click's bash function reads it."""
        value = str(item.value)
        if item.type == "plain" and not _in_quotes():
            # Two backslashes: the function's `read` takes one.
            value = re.sub(r"([^\w@%+=:,./-])", r"\\\\\1", value)
        return f"{item.type},{value}"


def _in_quotes() -> bool:
    """Whether the user has opened a quote in the word; click's function puts one on each line."""
    words = os.environ.get("COMP_WORDS", "").splitlines()
    try:
        return words[int(os.environ.get("COMP_CWORD", ""))][:1] in {'"', "'"}
    except (ValueError, IndexError):
        return False


class ZshByPath(ZshComplete):
    """click's completion for zsh, also of a script that is not on the PATH, such as `./script.py`.

    click's function asks the name that it is registered for; this one what the user has typed.
    """

    source_template = ZshComplete.source_template.replace(
        "    (( ! $+commands[%(prog_name)s] )) && return 1\n", ""
    ).replace("=zsh_complete %(prog_name)s)", "=zsh_complete ${(Q)words[1]})")


class FishByPath(FishComplete):
    """click's completion for fish, also of a script that is not on the PATH."""

    source_template = FishComplete.source_template.replace(
        "(commandline -t) %(prog_name)s);", "(commandline -t) (commandline -opc)[1]);"
    )


for shell in (QuotingBash, ZshByPath, FishByPath):
    add_completion_class(shell)
