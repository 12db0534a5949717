"""The command line: click command, options of all scripts, overrides of configuration keys."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import click

from aws_setup import __version__
from aws_setup.cli.completion import complete_only
from aws_setup.engine.output_stream import discard, open_missing, unwritten
from aws_setup.errors import Problem

if TYPE_CHECKING:
    from aws_setup.report import Style


COLLECTED_AFTER = 300_000
"""New objects until garbage is collected: most of those of a run live to its end (modules, AWS's
service models), and looking through them after each 700, Python's default, is an eighth of the
processor time of an unchanged create. At the end of the program it would be another tenth.
"""


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
    **dict.fromkeys(("delete", "down", "remove", "teardown", "uninstall"), ("destroy",)),
    **dict.fromkeys(("check", "test"), ("verify", "doctor")),
    **dict.fromkeys(("show", "list", "state"), ("status",)),
    **dict.fromkeys(("preview", "diff"), ("plan",)),
    "stop": ("pause",),
    "start": ("resume",),
}
"""Verbs of other tools -> ours, of which the first that a command has is meant."""


class VerbChoice(click.Choice[str]):
    """The verbs of a command; the error for another one names what is probably meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return click's message with the verb, or the command, that a mistyped one means."""
        message, meant = super().get_invalid_choice_message(value, ctx), self._meant(str(value))
        return f"{message} Did you mean {meant}?" if meant else message

    def _meant(self, value: str) -> str:
        from difflib import get_close_matches

        word = value.lower()
        own = [verb for verb in (word, *SYNONYMS.get(word, ())) if verb in self.choices]
        if own := own or get_close_matches(word, self.choices, n=1):
            return own[0]
        known = [verb for verb in (word, *SYNONYMS.get(word, ())) if verb in OTHER_COMMANDS]
        known = known or get_close_matches(word, OTHER_COMMANDS, n=1)
        return f"`{OTHER_COMMANDS[known[0]]}`" if known else ""


class Command(click.Command):
    """A script's command: with --json usage errors are printed as a JSON document, too."""

    def main(self, args: Sequence[str] | None = None, **settings: Any) -> Any:  # type: ignore[override]
        """Run the command; a usage error ends it with exit code 2."""
        if args is None:  # a program, whose threshold it is
            gc.set_threshold(COLLECTED_AFTER)
            # As it ends, Python would look for garbage in all that lives.
            atexit.register(gc.freeze)
        words = list(sys.argv[1:] if args is None else args)
        open_missing()
        try:
            super().main(words, **settings | {"standalone_mode": False})
        except click.UsageError as error:
            if "--json" not in words:
                error.show()
            else:
                hint = f"see {self.name} --help for the options"
                _print_document(Problem(error.format_message(), "", hint))
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(130)
        except OSError as error:  # of click's own output, such as --help
            discard(sys.stdout)
            problem = unwritten(error)
            sys.stderr.write(f"error: {problem.what}: {problem.why}\n  Fix: {problem.hint}\n")
            sys.exit(1)
        sys.exit(0)


def _print_document(problem: Problem) -> None:
    """Print the JSON document of a refused command line."""
    from aws_setup.engine.result import Result
    from aws_setup.report import Report, Style

    result = Result(command="", result="refused", problems=[problem])
    Report(Style(json=True)).document(result)


@dataclass(frozen=True)
class ConfigOption:
    """An option of one script that overrides a key of the configuration.

    A switch sets the key to `value`; an option with a `metavar` takes its value from the user.
    """

    option: str
    key: str
    value: bool
    help: str
    metavar: str = ""

    @property
    def parameter(self) -> str:
        """The name of the function parameter that click passes it as."""
        return self.option.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class SharedOptions:
    """The options that all scripts have; `as_json` is --json."""

    yaml_path: str | None = None
    profile: str | None = None
    region: str | None = None
    yes: bool = False
    break_lock: bool = False
    as_json: bool = False
    verbose: bool = False
    quiet: bool = False
    no_color: bool = False
    only: tuple[str, ...] = ()
    html: str | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Self:
        """Remove the shared options from click's parameters and return them."""
        return cls(**{field.name: options.pop(field.name) for field in fields(cls)})

    def style(self, *, no_color: bool = False) -> Style:
        """Return the style of the output; `no_color` is the configuration's key."""
        from aws_setup.report import Style

        return Style(self.as_json, self.verbose, self.quiet, self.no_color or no_color)

    @property
    def overrides(self) -> dict[str, Any]:
        """The configuration keys that the options override."""
        keys = {"aws_profile": self.profile, "aws_region": self.region}
        return {key: value for key, value in keys.items() if value}


def shared_options(
    *, only_help: str, only_metavar: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options of all scripts to a command."""
    options = [
        click.option(
            "--only",
            multiple=True,
            metavar=only_metavar,
            help=only_help,
            shell_complete=complete_only,
        ),
        click.option(
            "--html", type=click.Path(), metavar="FILE", help="Also write a page about the run."
        ),
        click.option(
            "-y",
            "--yaml",
            "yaml_path",
            type=click.Path(),
            metavar="FILE",
            help="Configuration file.",
        ),
        click.option("--profile", metavar="NAME", help="AWS profile, instead of aws_profile."),
        click.option("--region", metavar="REGION", help="AWS region, instead of aws_region."),
        click.option("--yes", is_flag=True, help="Do not ask for consent."),
        click.option("--break-lock", is_flag=True, help="Take the run lock of a run that is over."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Show tracebacks and debug lines."),
        click.option("-q", "--quiet", is_flag=True, help="No progress, only results and errors."),
        click.option("--no-color", is_flag=True, help="No colours and no live bars."),
        click.version_option(__version__, message="%(prog)s %(version)s"),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
