"""Runs an emulated OpenWhisk until Ctrl-C: `python -m aws_setup.rehearsal.openwhisk [--tls]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from aws_setup.rehearsal.openwhisk.faults import OpenWhiskFaults
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer, self_signed, serve


def main() -> None:
    """Serve; prints the variables to set and, at the end, the number of requests."""
    parser = argparse.ArgumentParser(
        prog="python -m aws_setup.rehearsal.openwhisk",
        description="Run an emulated OpenWhisk until Ctrl-C; prints the variables to set.",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1 (default: any free port)"
    )
    parser.add_argument(
        "--tls", action="store_true", help="serve HTTPS with a self-signed certificate"
    )
    parser.add_argument(
        "--flaky", type=float, default=0.0, metavar="X", help="share of requests that fail (0)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.0, metavar="X", help="how long each answer takes (0)"
    )
    options = parser.parse_args()
    whisk = OpenWhiskServer(faults=OpenWhiskFaults(flaky=options.flaky, seconds=options.seconds))
    certificate = self_signed() if options.tls else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serve(whisk, certificate=certificate, port=options.port) as url:
        print_line(f"export WHISK_APIHOST={url} WHISK_AUTH={AUTH}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            print_line(json.dumps(dict(whisk.requests)))


def print_line(line: str) -> None:
    """Write a line at once, also to a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
