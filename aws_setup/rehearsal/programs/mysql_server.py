"""Stands in for mysql.server: `start`, `stop` and `status`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from aws_setup.rehearsal.programs.common import NODE_DATA, is_running, record_start
from aws_setup.rehearsal.programs.manager_client import fail, print_line

START = 60.0


def main() -> None:
    """Execute the verb of the first argument."""
    record_start()
    pid_file = NODE_DATA / "mysqld.pid"
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "start":
        if not is_running(pid_file, "mysqld"):
            start()
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


def start() -> None:
    """Start mysqld and return when it accepts connections."""
    subprocess.run(["/usr/local/mysql/bin/mysqld"], stdout=subprocess.DEVNULL, check=True)
    ready = NODE_DATA / "mysqld.ready"
    deadline = time.monotonic() + START
    while not ready.exists():
        if time.monotonic() > deadline:
            fail("Starting MySQL. ERROR! The server quit without updating PID file")
        time.sleep(0.05)
