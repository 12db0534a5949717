"""The user's ProxyCommand, started without the secrets that it does not need."""

from __future__ import annotations

import os
import shlex
import subprocess

import paramiko

from aws_setup.config.child_environment import calls_aws, child_environment


class ProxyCommand(paramiko.ProxyCommand):
    """A ProxyCommand; it gets AWS's credentials only if it names AWS's command line."""

    def __init__(self, command: str) -> None:
        # paramiko's constructor has no parameter for the environment.
        self.cmd = shlex.split(command)
        self.process = subprocess.Popen(
            self.cmd,
            env=child_environment(os.environ, aws=calls_aws(command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.timeout: float | None = None
