"""What instances print on their console; whoever runs their machines writes it here.

EC2 user guide, "Instance console output": nothing at first, then what the boot printed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.lookup import ec2_backend
from aws_setup.rehearsal.rules import AwsError, Call

LIMIT = 64 * 1024
"""Bytes of the output that EC2 keeps."""


class ConsoleOutput:
    """Where console output comes from: `read` answers the text of an instance, "" for none."""

    read: Callable[[str], str] = staticmethod(lambda instance_id: "")


def _output(cloud: Cloud, call: Call) -> dict[str, Any]:
    wanted = call.params["InstanceId"]
    instance = ec2_backend(cloud, call).get_instance_by_id(wanted)
    if instance is None:
        message = f"The instance ID '{wanted}' does not exist"
        raise AwsError("InvalidInstanceID.NotFound", message)
    printed = "" if instance.state == "pending" else cloud.room(ConsoleOutput).read(wanted)
    answer: dict[str, Any] = {"InstanceId": wanted, "Timestamp": datetime.now(UTC)}
    if printed:
        answer["Output"] = base64.b64encode(printed.encode()[-LIMIT:]).decode()
    return answer


CONSOLE_ANSWERS = {("ec2", "GetConsoleOutput"): _output}
