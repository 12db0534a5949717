"""The debug log beside the receipt: every AWS request with its id, without accounts or secrets."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from pathlib import Path

from aws_setup.config import Config
from aws_setup.config.paths import debug_log_path
from aws_setup.engine.private_files import check_private, open_private
from aws_setup.engine.safe_text import one_line, visible
from aws_setup.errors import Problem, Refused

SECRET_PATTERN = re.compile(
    r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])"  # account ids, as in ARNs and host names
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"  # access key ids
    r"|(?<=X-Amz-Signature=)\w+|(?<=X-Amz-Security-Token=)[\w%]+|(?<=k8s-aws-v1\.)[\w-]+"
    r"|(?<=password=)\S+|(?<=Basic )[\w+/=]{8,}|(?<=Bearer )[\w.-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
"""Never written: account ids, and texts with the form of a key, a token or a password."""


def redact(text: str) -> str:
    """Return a text without account ids and secrets.

    Bytes that are not valid text, such as those of a program's output, become question marks.
    """
    return SECRET_PATTERN.sub("…", text.encode("utf-8", "replace").decode("utf-8"))


class _Private(logging.FileHandler):
    """Writes to a file that only its owner can read; the first failure ends the log, not the run.

    `failure` is that failure, such as a full disk; '' while there is none.
    """

    failure = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless one before could not be written."""
        if not self.failure:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Keep the reason; logging itself would print a traceback for every record."""
        error = sys.exc_info()[1]
        self.failure = getattr(error, "strerror", None) or repr(error)

    def _open(self) -> io.TextIOWrapper:
        handle = open_private(Path(self.baseFilename), append=True)
        return os.fdopen(handle, "a", encoding=self.encoding, errors="replace", newline="\n")


class SafeFormatter(logging.Formatter):
    """Makes each record one line without control characters; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without a traceback."""
        return one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its traceback."""
        return visible(super().format(record))


class _Redacted(SafeFormatter):
    """Removes account ids and secrets: AWS's error messages contain ARNs."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def incomplete_log() -> list[Problem]:
    """Return the warning that the debug log could not be written to its end."""
    hint = "free disk space; the run itself did not need the log"
    return [
        Problem("the debug log is incomplete", f"{handler.baseFilename}: {handler.failure}", hint)
        for handler in logging.getLogger("aws_setup").handlers
        if isinstance(handler, _Private) and handler.failure
    ]


def log_to_file(config: Config) -> None:
    """Send the debug log, with every request id, to a file beside the receipt.

    Raises:
        Refused: the folder cannot be created or written.
    """
    path = debug_log_path(config)
    try:
        check_private(path)
    except OSError as error:
        raise Refused(
            f"cannot write receipt and log to the folder {path.parent}",
            f"{error.filename or path}: {error.strerror or error}",
            f"make {path} a file that you may write, or remove it; or set "
            "infrastructure_json_path to a folder that you may write",
        ) from None
    handler = _Private(path, encoding="utf-8", delay=True)
    handler.setFormatter(_Redacted("%(asctime)s %(threadName)s %(name)s %(message)s"))
    logger = logging.getLogger("aws_setup")
    logger.setLevel(logging.DEBUG)
    for old in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
