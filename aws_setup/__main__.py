"""`python -m aws_setup doctor`: is this computer ready for the three scripts?"""

from __future__ import annotations

import os
import sys
import threading

from aws_setup.cli.installed import required


def main() -> None:
    """Run the command; without Python's or the packages' minimum only that is said."""
    with required("doctor", at_once=True):
        from aws_setup.cli.doctor import main as run

    try:
        run(sys.argv[1:], prog_name="python -m aws_setup")
    except SystemExit as ended:
        _end(ended.code)


def _end(code: object) -> None:
    """End, without waiting for threads that still wait for a network that does not answer."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
    sys.exit(code)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
