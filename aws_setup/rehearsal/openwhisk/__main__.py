"""Runs a stand-in OpenWhisk until Ctrl-C: `python -m aws_setup.rehearsal.openwhisk [--tls]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from aws_setup.rehearsal.openwhisk.faults import OpenWhiskFaults
from aws_setup.rehearsal.openwhisk.server import AUTH, OpenWhiskServer, self_signed, serve


def main() -> None:
    """Serve, and say on stdout how to reach it and, at the end, what it was asked."""
    parser = argparse.ArgumentParser(prog="python -m aws_setup.rehearsal.openwhisk")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; any by default")
    parser.add_argument("--tls", action="store_true", help="speak https, self-signed")
    parser.add_argument("--flaky", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--seconds", type=float, default=0.0, help="seconds that each answer takes")
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
    """Write a line at once, for whoever reads through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
