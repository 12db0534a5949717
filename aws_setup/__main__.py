"""`python -m aws_setup doctor`: is this computer ready for the three scripts?"""

from __future__ import annotations

import json
import os
import sys
import threading

from aws_setup.cli.installed import INSTALL, missing_packages, python_problem


def main() -> None:
    """Run the command; without Python's or the packages' minimum only that is said."""
    words = sys.argv[1:]
    problem, fix = python_problem(sys.version_info[:3]), "use a newer Python"
    if not problem:
        missing, fix = missing_packages(), INSTALL
        problem = f"{', '.join(missing)}: not installed" if missing else ""
    if problem:
        _refuse(problem, fix, as_json="--json" in words)
    from aws_setup.cli.doctor import main as run

    try:
        run(words, prog_name="python -m aws_setup")
    except SystemExit as ended:
        _end(ended.code)


def _refuse(problem: str, fix: str, *, as_json: bool) -> None:
    what = "python and packages"
    document = {"what": what, "why": problem, "hint": fix}
    if as_json:
        whole = {"command": "doctor", "result": "failed", "problems": [document]}
        sys.stdout.write(json.dumps(whole, indent=2) + "\n")
    else:
        sys.stderr.write(f"error: {what}: {problem}\n  Fix: {fix}\n")
    sys.exit(1)


def _end(code: object) -> None:
    """End, without waiting for threads that still wait for a network that does not answer."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
    sys.exit(code)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
