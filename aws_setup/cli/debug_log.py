"""The debug log beside the receipt: every AWS request with its id, without accounts or secrets."""

from __future__ import annotations

import io
import logging
import os
import re

from aws_setup.config import Config
from aws_setup.config.paths import debug_log_path
from aws_setup.errors import Refused

SECRET_PATTERN = re.compile(
    r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])"  # account ids, as in ARNs and host names
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"  # access key ids
    r"|(?<=X-Amz-Signature=)\w+|(?<=X-Amz-Security-Token=)[\w%]+|(?<=k8s-aws-v1\.)[\w-]+"
    r"|(?<=password=)\S+|(?<=Basic )[\w+/=]{8,}|(?<=Bearer )[\w.-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
"""What is never written: account ids, and what looks like a key, a token or a password."""


def redact(text: str) -> str:
    """Return a text without account ids and secrets.

    Bytes that were no text where they came from, on a machine say, become question marks.
    """
    return SECRET_PATTERN.sub("…", text.encode("utf-8", "replace").decode("utf-8"))


class _Private(logging.FileHandler):
    """Writes to a file that only its owner may read."""

    def _open(self) -> io.TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(handle, "a", encoding=self.encoding)


class _Redacted(logging.Formatter):
    """Leaves out account ids and secrets: AWS's error messages name ARNs."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def log_to_file(config: Config) -> None:
    """Send the debug log, with every request id, to a file beside the receipt.

    Raises:
        Refused: the folder cannot be made or written.
    """
    path = debug_log_path(config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable, why = os.access(path.parent, os.W_OK), "you may not write there"
    except OSError as error:
        writable, why = False, error.strerror or str(error)
    if not writable:
        raise Refused(
            f"the folder {path.parent} for receipt and log cannot be used",
            why,
            "set infrastructure_json_path to a folder of yours",
        )
    if path.exists():
        path.chmod(0o600)
    handler = _Private(path, encoding="utf-8", delay=True)
    handler.setFormatter(_Redacted("%(asctime)s %(threadName)s %(name)s %(message)s"))
    logger = logging.getLogger("aws_setup")
    logger.setLevel(logging.DEBUG)
    for old in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
