"""The command line: click command, options of all scripts, overrides of configuration keys."""

from __future__ import annotations

import atexit
import gc
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import click

from aws_setup import __version__
from aws_setup.cli.completion import complete_only
from aws_setup.cli.usage import UnexpectedWord, usage_problem
from aws_setup.engine.output_stream import discard, open_missing, unwritten
from aws_setup.errors import Problem

if TYPE_CHECKING:
    from aws_setup.report import Style


COLLECTED_AFTER = 300_000
"""New objects until garbage is collected: most of those of a run live to its end (modules, AWS's
service models), and looking through them after each 700, Python's default, is an eighth of the
processor time of an unchanged create. At the end of the program it would be another tenth.
"""


class Command(click.Command):
    """A script's command: a usage error is printed as every error, with --json as the document."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        context = {"help_option_names": ["-h", "--help"], "allow_extra_args": True}
        super().__init__(*args, **settings | {"context_settings": context})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line.

        Raises:
            UnexpectedWord: there are more words than the command takes.
        """
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise UnexpectedWord(rest[0], ctx)
        return rest

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
            _print_refusal(usage_problem(error, self), as_json="--json" in words)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(130)
        except OSError as error:  # of click's own output, such as --help
            discard(sys.stdout)
            problem = unwritten(error)
            sys.stderr.write(f"error: {problem.what}: {problem.why}\n  Fix: {problem.hint}\n")
            sys.exit(1)
        sys.exit(0)


def _print_refusal(problem: Problem, *, as_json: bool) -> None:
    """Print what is wrong with a command line; the report's libraries take longer than this."""
    if as_json:
        from aws_setup.engine.result import Result
        from aws_setup.report import Report, Style

        result = Result(command="", result="refused", problems=[problem])
        Report(Style(json=True)).document(result)
        return
    what = f"{problem.what}: {problem.why}" if problem.why else problem.what
    lines = [f"error: {what}", f"  Fix: {problem.hint}"]
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        indents = ("  ", "    ")
        lines = [
            textwrap.fill(
                line,
                width,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line, indent in zip(lines, indents, strict=True)
        ]
    sys.stderr.write("\n".join(lines) + "\n")


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
