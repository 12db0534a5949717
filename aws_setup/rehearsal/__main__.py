"""`python -m aws_setup.rehearsal`: the demo; with `serve`, only the emulated cloud."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command; a missing package is one line that names what to install."""
    try:
        from aws_setup.engine.output_stream import make_readable
        from aws_setup.rehearsal.cli import main
    except ModuleNotFoundError as error:
        if str(error.name).startswith("aws_setup"):
            raise
        sys.stderr.write(
            f"error: the package {error.name} is not installed; run: "
            f"{sys.executable} -m pip install -r requirements-rehearsal.txt\n"
        )
        return 2
    except KeyboardInterrupt:
        return 130
    for stream in (sys.stdout, sys.stderr):
        make_readable(stream)
    return main()


if __name__ == "__main__":
    raise SystemExit(run())
