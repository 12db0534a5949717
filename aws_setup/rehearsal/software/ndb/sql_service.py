"""Stands in for mysql.server: `start`, `stop` and `status`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from aws_setup.rehearsal.software.ndb.machine import NODE_DATA, alive, fail, record, say

START = 60.0


def main() -> None:
    """Do what the first argument says."""
    record()
    pid_file = NODE_DATA / "mysqld.pid"
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb == "start":
        if not alive(pid_file, "mysqld"):
            start()
        say("Starting MySQL. SUCCESS!")
    elif verb == "stop":
        if alive(pid_file, "mysqld"):
            os.kill(int(pid_file.read_text(encoding="utf-8")), signal.SIGTERM)
        say("Shutting down MySQL. SUCCESS!")
    elif verb == "status":
        if not alive(pid_file, "mysqld"):
            fail(" ERROR! MySQL is not running", 3)
        say(" SUCCESS! MySQL running")
    else:
        fail("Usage: mysql.server  {start|stop|restart|reload|force-reload|status}")


def start() -> None:
    """Start mysqld and return when it accepts connections."""
    subprocess.run(["/usr/local/mysql/bin/mysqld"], check=True)
    ready = NODE_DATA / "mysqld.ready"
    ends = time.monotonic() + START
    while not ready.exists():
        if time.monotonic() > ends:
            fail("Starting MySQL. ERROR! The server quit without updating PID file")
        time.sleep(0.05)
