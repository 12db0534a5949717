"""A script as data: its command line, and what its commands do, which is imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_setup.cli.options import ConfigOption
from aws_setup.errors import Problem

if TYPE_CHECKING:
    from aws_setup.aws.context import Context, Step
    from aws_setup.config import Config
    from aws_setup.engine.plan import Row
    from aws_setup.preflight.checks import Preflight


@dataclass(frozen=True)
class Story:
    """What the commands of a script do: tables, checks and closing lines.

    `table` lists the steps to create; `removal` those to delete, which may be more. `prepare` runs
    before the plan. `preflight` checks the plan before consent and returns its results; None when
    the script has no checks. `epilogue` returns the lines to print after success; `next_command` is
    the command that continues the deployment, printed while λFS is not ready.
    `local_files` brings files on this computer to what exists after a run, without the resources
    of the steps that it deleted. `skipped_features` returns the configured features that a run
    skips, with the reasons. `resume` lists the steps that start a paused
    deployment. `part` names the script's part of the lock file, and `record` returns what it says;
    with True what a run has listed is listed again.
    """

    table: Callable[[Config], Sequence[Step]]
    removal: Callable[[Config], Sequence[Step]]
    prepare: Callable[[Context], None] = lambda _: None
    preflight: Callable[[Context, Sequence[Row]], Preflight | None] = lambda *_: None
    epilogue: Callable[[Context], Sequence[str]] = lambda _: ()
    next_command: Callable[[Config], str] = lambda _: ""
    local_files: Callable[[Context, Collection[str]], None] = lambda *_: None
    skipped_features: Callable[[Config], Sequence[Problem]] = lambda _: ()
    resume: Callable[[Config], Sequence[Step]] = lambda _: ()
    part: str = ""
    record: Callable[[Context, bool], Mapping[str, Any]] = lambda *_: {}


@dataclass(frozen=True)
class Script:
    """The command line of a script: verbs, help and options.

    `story` imports and returns what the commands do: the libraries for AWS, SSH and Kubernetes
    take a second to import, and --help needs none of them. `flags` are the script's own options;
    `infrastructure` adds --no-wait and --reformat. A script without `owns_deployment` owns a part
    of it: the other resources are not its leftovers.
    """

    name: str
    verbs: tuple[str, ...]
    help: str
    story: Callable[[], Story]
    owns_deployment: bool = True
    flags: tuple[ConfigOption, ...] = ()
    infrastructure: bool = False
