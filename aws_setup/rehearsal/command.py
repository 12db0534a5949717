"""The command line of the rehearsal: the whole story, or with `serve` the cloud alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from aws_setup.rehearsal import options, serving
from aws_setup.rehearsal.options import InvalidInput
from aws_setup.rehearsal.story.director import run_demo

PROGRAM = "python -m aws_setup.rehearsal"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 2 for bad input."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words[:1] == ["serve"]:
            return serving.serve_until_stopped(_serve_argument_parser().parse_args(words[1:]))
        return run_demo(options.check_options(_demo_argument_parser().parse_args(words)))
    except InvalidInput as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _demo_argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Rehearse the whole deployment on this computer: the three scripts do all "
        "their work against an emulated AWS, from nothing to nothing, and nothing costs anything.",
        epilog=f"{PROGRAM} serve: the emulated AWS alone, to try the scripts yourself "
        "(serve --help). Exit codes: 0 all went as it should; 1 something did not; "
        "2 it could not begin; 130 stopped.",
    )
    options.add_demo_arguments(parser)
    return parser


def _serve_argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} serve",
        description="Run the emulated AWS, with machines, Kubernetes and OpenWhisk, until Ctrl-C; "
        "it prints what to set in another terminal.",
    )
    serving.add_serve_arguments(parser)
    return parser
