"""Stands in for ndb_mgm: `-e show`, `-e shutdown`, `-e "1 stop"`, `-e "<id> restart"`."""

from __future__ import annotations

import sys

from aws_setup.rehearsal.programs.manager_client import (
    connect_manager,
    connect_string,
    fail,
    print_line,
    send_request,
)


def main() -> None:
    """Send the command to the management server and print the answer."""
    command = sys.argv[sys.argv.index("-e") + 1] if "-e" in sys.argv else ""
    address = connect_string() or "127.0.0.1"
    connection = connect_manager(address)
    if connection is None:
        fail(f"Unable to connect with connect string: nodeid=0,{address}:1186")
        return
    print_line(f"Connected to Management Server at: {address}:1186")
    words = command.split()
    if command == "show":
        answer = send_request(connection, {"op": "show"})
    elif command == "shutdown":
        answer = send_request(connection, {"op": "shutdown"})
    elif words[1:] == ["stop"] and words[0] == "1":
        answer = send_request(connection, {"op": "stop"})
    elif words[1:] == ["restart"]:
        answer = send_request(connection, {"op": "restart", "node": words[0]})
    else:
        answer = {"error": f"Invalid command: {command}"}
    if "error" in answer:
        fail(answer["error"], 255)
    print_line(answer.get("text", ""))
