"""`python -m aws_setup.rehearsal`: the whole story; with `serve`, the rehearsal cloud alone."""

from __future__ import annotations

import io
import sys


def run() -> int:
    """Run the command; say in one line what to install when a package is missing."""
    try:
        from aws_setup.rehearsal.cli import main
    except ModuleNotFoundError as error:
        if str(error.name).startswith("aws_setup"):
            raise
        sys.stderr.write(
            f"error: the package {error.name} is missing: "
            f"{sys.executable} -m pip install -r requirements-dev.txt\n"
        )
        return 2
    except KeyboardInterrupt:
        return 130
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or file that has no λ and no lines gets ? for them.
            stream.reconfigure(errors="replace")
    return main()


if __name__ == "__main__":
    raise SystemExit(run())
