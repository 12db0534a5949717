"""A wrong command line: what is wrong with it, and what is probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from aws_setup.errors import Problem

CREATE, CONFIGURE = "python create_aws_infrastructure.py", "python configure_eks_cluster.py"

OTHER_COMMANDS = {
    "configure": CONFIGURE,
    "create": CREATE,
    "doctor": "python -m aws_setup doctor",
    **{
        verb: f"{CREATE} {verb}"
        for verb in ("verify", "pause", "resume", "extend", "allow-my-ip", "plan", "status")
    },
}
"""Verb -> the command that has it, for who gives it to another one."""

SYNONYMS = {
    **dict.fromkeys(("apply", "deploy", "install", "up"), ("create", "configure")),
    **dict.fromkeys(("delete", "down", "remove", "teardown", "uninstall"), ("destroy", "delete")),
    **dict.fromkeys(("check", "test"), ("verify", "doctor")),
    **dict.fromkeys(("show", "list", "state"), ("status", "list")),
    **dict.fromkeys(("preview", "diff"), ("plan",)),
    "destroy": ("delete",),
    "status": ("list",),
    "stop": ("pause",),
    "start": ("resume",),
}
"""Verbs of other tools -> ours, of which the first that a command has is meant."""

OPTIONS_OF = {
    "create_aws_infrastructure.py": frozenset(
        {"--copy-amis", "--deep", "--images", "--keep", "--no-wait", "--quick", "--reformat"}
        | {"--print-iam-policy"}
    ),
    "configure_eks_cluster.py": frozenset(
        {"--kubeconfig", "--set-context", "--skip-storage-probe", "--update-chart"}
        | {"--write-wskprops"}
    ),
    "whisk_helper.py": frozenset(
        {"-n", "--num-functions", "-s", "--starting-index", "-e", "--ending-index", "-p"}
        | {"--prefix", "-c", "--concurrency", "--create", "--update", "--sync", "--list"}
        | {"--verify", "--delete", "--memory", "-m", "--main-class", "-j", "--path", "-k"}
        | {"--kind", "--plan", "--prune", "--limits-only", "--configure-jar", "--force"}
        | {"--invoke", "--timeout", "--jobs", "--apihost", "--auth", "-i", "--insecure"}
        | {"--tunnel"}
    ),
}
"""Script -> the options that it alone has, for who gives them to another one."""

HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""What programs for text make of a hyphen: a command that was copied from one has them."""

ALIKE = 0.7
"""The similarity from which an option counts as mistyped; verbs, which are few, take difflib's."""


class UnknownVerb(click.UsageError):
    """A verb that the command does not have."""

    def __init__(self, value: str, choices: Sequence[str], ctx: click.Context | None) -> None:
        super().__init__(f"there is no verb {value!r}", ctx)
        self.value, self.choices = value, choices


class UnexpectedWord(click.UsageError):
    """A word behind those that the command takes."""

    def __init__(self, word: str, ctx: click.Context | None = None, *, why: str = "") -> None:
        super().__init__(f"unexpected argument {word!r}", ctx)
        self.word, self.why = word, why


class OtherVerbsOption(click.UsageError):
    """An option that the verb does not read, and would ignore."""

    def __init__(self, option: str, verbs: Sequence[str], verb: str) -> None:
        super().__init__(f"{option} is of {' and '.join(verbs)}, not of {verb}")
        self.option = option


class VerbChoice(click.Choice[str]):
    """The verbs of a command."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the verb.

        Raises:
            UnknownVerb: the command has no such verb.
        """
        if value not in self.choices:
            raise UnknownVerb(str(value), self.choices, ctx)
        return str(value)


def usage_problem(error: click.UsageError, command: click.Command) -> Problem:
    """Return a usage error as a problem, whose fix names what is probably meant."""
    see = f"see {_called(command)} --help"
    if isinstance(error, UnknownVerb):
        why = f"the verbs are {', '.join(error.choices)}"
        return Problem(error.message, why, _meant(error.value, command) or see)
    if isinstance(error, click.MissingParameter) and _verbs(command):
        return Problem("the verb is missing", "", f"write {' or '.join(_verbs(command))}")
    if isinstance(error, UnexpectedWord):
        meant = "" if error.word in _verbs(command) else _meant(error.word, command)
        return Problem(error.message, error.why, meant or "remove it")
    if isinstance(error, OtherVerbsOption):
        return Problem(error.message, "", f"leave {error.option} out, or change the verb")
    if isinstance(error, click.NoSuchOption):
        what = f"there is no option {error.option_name}"
        return Problem(what, "", _meant(error.option_name, command) or see)
    option = _option_of(error, command)
    return Problem(_sentence(error), "", _form(option) if option else see)


def _sentence(error: click.UsageError) -> str:
    text = error.format_message().rstrip(".")
    return text[:1].lower() + text[1:]


def _called(command: click.Command) -> str:
    return "python -m aws_setup" if command.name == "aws_setup" else f"python {command.name}"


def _option_of(error: click.UsageError, command: click.Command) -> click.Option | None:
    """Return the option whose value is wrong or missing."""
    if isinstance(error, click.BadParameter):
        return error.param if isinstance(error.param, click.Option) else None
    if not isinstance(error, click.BadOptionUsage):
        return None
    return next((o for o in _options(command) if error.option_name in o.opts), None)


def _form(option: click.Option) -> str:
    """Return how an option is written: the form of its value, and what it means."""
    name = max(option.opts, key=len)
    if option.is_flag:
        return f"write {name} without a value"
    with click.Context(click.Command("")) as ctx:
        return f"write {name} {option.make_metavar(ctx)}: {(option.help or '').rstrip('.')}"


def _options(command: click.Command) -> list[click.Option]:
    with click.Context(command) as ctx:
        return [p for p in command.get_params(ctx) if isinstance(p, click.Option)]


def _verbs(command: click.Command) -> list[str]:
    return [v for p in command.params if isinstance(p.type, VerbChoice) for v in p.type.choices]


def _meant(word: str, command: click.Command) -> str:
    """Return the fix of a word that the command does not know; '' where nothing is like it."""
    as_option = word[:1] in HYPHENS
    bare = word.lower().lstrip(HYPHENS).replace("_", "-")
    known = {name: name for name in _verbs(command)}
    options = {o.lstrip("-"): o for one in _options(command) for o in one.opts if o[:2] == "--"}
    known = known | options if as_option or not known else options | known
    names = (bare, *SYNONYMS.get(bare, ()))
    if found := next((known[name] for name in names if name in known), ""):
        return f"write {found}" + (", without hyphens" if as_option and found[0] != "-" else "")
    for script, others in OPTIONS_OF.items():
        if word in others and script != command.name:
            return f"leave it out: it is an option of {script}"
    if other := next((OTHER_COMMANDS[name] for name in names if name in OTHER_COMMANDS), ""):
        return f"run {other}"
    near = options if as_option else _verbs(command) or options
    if found := _close(bare, near, ALIKE if as_option else 0.6):
        return f"write {known[found]}"
    found = _close(bare, OTHER_COMMANDS, 0.6)
    return f"run {OTHER_COMMANDS[found]}" if found else ""


def _close(word: str, names: Iterable[str], alike: float) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(names), n=1, cutoff=alike)), "")
