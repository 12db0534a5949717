"""Stands in for mysql.server: `start`, `stop` and `status`.

As the script does, and mysqld_safe behind it, it hands arguments on to mysqld, which root starts as
the user `mysql` unless they name one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from aws_setup.rehearsal.programs.common import NODE_DATA, is_running, record_start
from aws_setup.rehearsal.programs.manager_client import fail, print_line

START = 60.0

QUIT = "Starting MySQL. ERROR! The server quit without updating PID file"


def main() -> None:
    """Execute the verb of the first argument."""
    record_start()
    pid_file = NODE_DATA / "mysqld.pid"
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "start":
        if not is_running(pid_file, "mysqld"):
            start(sys.argv[2:])
        print_line("Starting MySQL. SUCCESS!")
    elif verb == "stop":
        if is_running(pid_file, "mysqld"):
            os.kill(int(pid_file.read_text(encoding="utf-8")), signal.SIGTERM)
        print_line("Shutting down MySQL. SUCCESS!")
    elif verb == "status":
        if not is_running(pid_file, "mysqld"):
            fail(" ERROR! MySQL is not running", 3)
        print_line(" SUCCESS! MySQL running")
    else:
        fail("Usage: mysql.server  {start|stop|restart|reload|force-reload|status}")


def start(arguments: list[str]) -> None:
    """Start mysqld and return when it accepts connections."""
    named = any(argument.startswith("--user=") for argument in arguments)
    user = [] if named or os.geteuid() else ["--user=mysql"]
    command = ["/usr/local/mysql/bin/mysqld", *user, *arguments]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        fail(QUIT)
    ready = NODE_DATA / "mysqld.ready"
    deadline = time.monotonic() + START
    while not ready.exists():
        if time.monotonic() > deadline:
            fail(QUIT)
        time.sleep(0.05)
