"""`python -m aws_setup.rehearsal serve`: runs the rehearsal cloud and says how to use it."""

from __future__ import annotations

from aws_setup.rehearsal.command import main

if __name__ == "__main__":
    raise SystemExit(main())
