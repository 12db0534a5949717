"""A credential_process of a profile, within bounds: botocore waits for its end for ever.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from typing import IO, Any

from botocore.exceptions import CredentialRetrievalError

from aws_setup.config.child_environment import child_environment

PROCESS_SECONDS = 60.0
"""Seconds that a credential_process has; some log the user in through a browser."""

PROCESS_OUTPUT = 1024 * 1024
"""Bytes of a credential_process's output that are read; credentials are about 2 KB."""

PIPE_SECONDS = 1.0
"""Seconds after its end for the rest of its output: a program that it left may hold the pipe."""

BLOCK = 64 * 1024


class BoundedProcess:
    """A credential_process that ends within its time, with an output of a few kilobytes.

    It keeps the terminal, where it may ask for a code. It gets no passwords of these scripts.
    """

    def __init__(self, arguments: Sequence[str], **_: Any) -> None:
        """Start the program.

        Raises:
            OSError: it cannot be started.
        """
        pipe, env = subprocess.PIPE, child_environment(os.environ, aws=True)
        self._process = subprocess.Popen(  # nosec B603
            arguments, stdout=pipe, stderr=pipe, env=env
        )
        self._too_long = False

    @property
    def returncode(self) -> int | None:
        """Its exit code."""
        return self._process.returncode

    def communicate(self) -> tuple[bytes, bytes]:
        """Return its output and its errors.

        Raises:
            CredentialRetrievalError: it did not end in time, or prints without end.
        """
        parts: list[bytearray] = [bytearray(), bytearray()]
        streams = (self._process.stdout, self._process.stderr)
        readers = [
            threading.Thread(target=self._read, args=(stream, part), daemon=True)
            for stream, part in zip(streams, parts, strict=True)
        ]
        for reader in readers:
            reader.start()
        try:
            self._process.wait(PROCESS_SECONDS)
        except subprocess.TimeoutExpired:
            raise _failed(f"it has not ended after {PROCESS_SECONDS:.0f} seconds") from None
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        for reader in readers:
            reader.join(PIPE_SECONDS)
        if self._too_long:
            raise _failed(f"it prints more than {PROCESS_OUTPUT // 1024**2} MB")
        return bytes(parts[0]), bytes(parts[1]).decode("utf-8", "replace").encode()

    def _read(self, stream: IO[bytes], part: bytearray) -> None:
        while block := os.read(stream.fileno(), BLOCK):
            part += block
            if len(part) > PROCESS_OUTPUT:
                self._too_long = True
                self._process.kill()
                return


def _failed(why: str) -> CredentialRetrievalError:
    return CredentialRetrievalError(provider="custom-process", error_msg=why)
