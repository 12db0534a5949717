"""From the command line to the exit code: load the configuration, and map errors to exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from aws_setup.cli.debug_log import SafeFormatter, incomplete_log, log_to_file
from aws_setup.cli.installed import INSTALL_FIX, WHAT, missing_packages, not_installed
from aws_setup.cli.options import SharedOptions
from aws_setup.config import Config, file_warnings, load_config, lock_warnings
from aws_setup.config.lock_file import read_lock
from aws_setup.config.paths import absolute
from aws_setup.engine.result import Result
from aws_setup.engine.safe_text import visible
from aws_setup.engine.temporary_files import delete_abandoned
from aws_setup.engine.wording import shell_word
from aws_setup.errors import Interrupted, Problem, Refused, SetupError
from aws_setup.report import CommandOptions, Report
from aws_setup.ssh import PROTOCOL_LOG

log = logging.getLogger(__name__)

Work = Callable[[Config, Result, Report], None]
"""A command with a configuration: it fills the result and prints through the report."""


@dataclass(frozen=True)
class Invocation:
    """One call of a script: its command, its options, and the folder of the script.

    `overrides` are configuration keys that the script's own options set. With `config_optional`
    the command `without_config` runs when -y is not set and no configuration file is found.
    `finish` is called at the end of every run, before the errors are printed. `lock` is the path of
    --from: the lock file of the deployment to repeat.
    """

    command: str
    options: SharedOptions
    folder: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    config_optional: bool = False
    without_config: Callable[[Result, Report], None] = lambda *_: None
    finish: Callable[[Result, Report], None] = lambda *_: None
    lock: str | None = None


def run_guarded(invocation: Invocation, work: Work) -> int:
    """Run a command, print its errors, and return the exit code."""
    _end_as_with_ctrl_c()
    with suppress(OSError):
        delete_abandoned(Path(tempfile.gettempdir()))
    options = invocation.options
    if options.verbose:
        _log_to_stderr()
    began = time.monotonic()
    result = Result(command=invocation.command)
    report = Report(options.style())
    try:
        config = _load_config(invocation, result)
        if config is None:
            invocation.without_config(result, report)
        else:
            commands = _printed_commands(options, config)
            report = Report(options.style(no_color=config.no_color), commands)
            report.problems(result.warnings, warning=True)
            work(config, result, report)
        if _signals:
            raise Interrupted
    except (KeyboardInterrupt, Interrupted) as error:
        _note_interruption(result, error if isinstance(error, Interrupted) else Interrupted())
    except Exception as error:
        if _signals:
            log.debug("the run was interrupted", exc_info=error)
            _note_interruption(result, Interrupted())
        else:
            _note_failure(result, error, verbose=options.verbose)
    result.seconds = round(time.monotonic() - began, 1)
    invocation.finish(result, report)
    report.problems(incomplete_log(), warning=True)
    report.problems(result.problems)
    report.document(result)
    return result.exit_code if report.is_complete() else result.exit_code or 1


def _printed_commands(options: SharedOptions, config: Config) -> CommandOptions:
    """Return the options of commands in texts: those of this run, and what AWS's CLI lacks."""
    own = {"-y": options.yaml_path, "--profile": options.profile, "--region": options.region}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    profile = os.environ.get("AWS_PROFILE")
    return CommandOptions(
        own=" ".join(f"{name} {shell_word(value)}" for name, value in own.items() if value),
        profile=shell_word(config.aws_profile) if config.aws_profile not in (None, profile) else "",
        region=config.aws_region if config.aws_region not in (None, region) else "",
    )


_signals: list[int] = []
"""The signals that were to end this run.

An exception of a signal's handler can be lost: Python prints or drops those of a finalizer
(https://docs.python.org/3/reference/datamodel.html#object.__del__), and libraries turn a
KeyboardInterrupt into errors of their own.
"""


TOGETHER = 1.0
"""Seconds within which signals have one cause, and are no second Ctrl-C.

A terminal that is closed sends SIGHUP twice: once its shell to its jobs, once the kernel to the
foreground's processes when the shell has ended
(https://www.gnu.org/software/bash/manual/html_node/Signals.html, setpgid(2)).
"""


CAUSES = {"SIGINT": "Ctrl-C", "SIGHUP": "the terminal was closed"}
"""Signal -> what has sent it; others are called by their names."""


def _end_as_with_ctrl_c() -> None:
    """Let SIGTERM and a closed terminal end a run as Ctrl-C does; nohup keeps it alive."""
    _signals.clear()
    latest = -TOGETHER

    def end(number: int, _: FrameType | None) -> None:
        nonlocal latest
        latest, before = time.monotonic(), latest
        _signals.append(number)
        if number == signal.SIGINT or latest - before >= TOGETHER:
            raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _note_interruption(result: Result, error: Interrupted) -> None:
    result.result = "interrupted"
    name = signal.Signals(_signals[0]).name if _signals else "SIGINT"
    cause = CAUSES.get(name, name) if _signals or not error.cause else error.cause
    what, hint = "interrupted", "run the same command again: it resumes where it stopped"
    if error.unchanged:
        what, hint = "cancelled; nothing was changed", "run the same command again to proceed"
    result.problems.append(Problem(what, cause, hint))


def _log_to_stderr() -> None:
    """Show the log on stderr, for -v; unless a handler is there already.

    Not that of SSH's protocol, which would hide the plan whose rows -v lists; the file has it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: record.name != PROTOCOL_LOG)
    handler.setFormatter(SafeFormatter(logging.BASIC_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _load_config(invocation: Invocation, result: Result) -> Config | None:
    """Load the configuration and open the debug log; None where there is no file and need not be.

    Raises:
        Refused: there is no configuration file, or it or the lock file has errors.
    """
    options = invocation.options
    if invocation.config_optional and not options.yaml_path and not _existing(invocation.folder):
        return None
    path = find_config(options.yaml_path, invocation.folder)
    overrides = options.overrides | dict(invocation.overrides)
    lock = read_lock(Path(invocation.lock)) if invocation.lock else None
    config = load_config(path, overrides=overrides, environ=os.environ, lock=lock)
    result.deployment = config.deployment_name
    result.warnings += _open_log(config, invocation.command)
    result.warnings += file_warnings(path, overrides=overrides, environ=os.environ)
    result.warnings += lock_warnings(path, lock) if lock else []
    return config


STOPPING = ("destroy", "pause")
"""Commands that end what is billed: they need no log to do so."""


def _open_log(config: Config, command: str) -> list[Problem]:
    """Open the debug log; return why a command that does without it has none.

    Raises:
        Refused: it cannot be written.
    """
    try:
        log_to_file(config)
    except Refused as error:
        if command not in STOPPING:
            raise
        return list(error.problems)
    return []


def config_search_path(folder: Path) -> list[Path]:
    """Return the configuration files that are tried without -y, in order."""
    return [Path("config_aws.yaml"), folder / "config_aws.yaml"]


def _existing(folder: Path) -> bool:
    return any(path.exists() and not path.is_dir() for path in config_search_path(folder))


def find_config(path: str | None, folder: Path) -> Path:
    """Return the configuration file: `path`, or config_aws.yaml here or in the script's folder.

    Raises:
        Refused: it does not exist; the hint says how to create one.
    """
    candidates = [Path(path)] if path else config_search_path(folder)
    for candidate in candidates:
        # What is neither file nor folder, as a named pipe, is refused by what reads it.
        if candidate.exists() and not candidate.is_dir():
            return candidate
    places = list(dict.fromkeys(str(absolute(candidate)) for candidate in candidates))
    folders = [place for place in places if Path(place).is_dir()]
    why = f"{folders[0]} is a folder" if folders else f"there is no {' and no '.join(places)}"
    fix = (
        "correct the path of -y, or copy sample_config_aws.yaml to it and replace its placeholders"
        if path
        else "copy sample_config_aws.yaml to config_aws.yaml and replace its placeholders, or add "
        "-y FILE"
    )
    raise Refused("no configuration file", why, fix)


def _note_failure(result: Result, error: Exception, *, verbose: bool) -> None:
    """Record an error; one of AWS's before the first step is a refusal: nothing was written."""
    if verbose:
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    translated = _translated(error)
    before_first_write = not result.steps
    result.fail(translated)
    if before_first_write and result.result == "failed" and translated is not error:
        result.result = "refused"


def _translated(error: Exception) -> Exception:
    """Return an error of AWS as one with cause and fix; botocore is imported for others alone."""
    if isinstance(error, SetupError):
        return error
    if isinstance(error, ImportError) and (missing := missing_packages()):
        return SetupError(WHAT, not_installed(missing), INSTALL_FIX)
    from aws_setup.aws.errors import to_setup_error

    return to_setup_error(error)
