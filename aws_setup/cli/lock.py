"""The lock file of a run: written at its end, and compared by status --against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_setup.aws.advice import advice
from aws_setup.cli.command_run import CommandRun
from aws_setup.config import Config
from aws_setup.config.lock_file import (
    CLUSTER,
    INFRASTRUCTURE,
    NAMENODES,
    PARTS,
    Lock,
    has_part,
    read_lock,
)
from aws_setup.config.paths import lock_path
from aws_setup.engine.history import timestamp
from aws_setup.engine.wording import count_of
from aws_setup.errors import Problem, Refused
from aws_setup.lockfile.compare import differences, moved_images
from aws_setup.lockfile.document import (
    configuration_of,
    database_sizes,
    secrets_of,
    without_private,
)
from aws_setup.lockfile.infrastructure import published_amis
from aws_setup.lockfile.write import document_with, write_lock
from aws_setup.report.comparison import print_differences

if TYPE_CHECKING:
    from aws_setup.cli.commands import ScriptRun
    from aws_setup.cli.namenode_run import ActionsRun


def record(run: ScriptRun, *, changed: bool) -> None:
    """Write the script's part of the lock file; what goes wrong is a warning."""
    config = run.ctx.config
    repeats = run.ctx.repeats if run.story.part == CLUSTER else None

    def write() -> Problem | None:
        problem = write_lock(config, _document(run, fresh=changed))
        return problem or (_moved(config, repeats) if repeats else None)

    _warn_of(run, write)


def _moved(config: Config, repeated: Lock) -> Problem | None:
    """Return a warning of images whose tag now names another image than in the repeated one."""
    moved = moved_images(read_lock(lock_path(config)).images, repeated.images)
    if not moved:
        return None
    what = count_of(len(moved), "container image differs", "container images differ")
    what += f" from those of {repeated.path.name}"
    why = f"their tags have moved since: {', '.join(moved)}"
    return Problem(what, why, "name the differences beside the results, or use images of your own")


def _warn_of(run: CommandRun[Any], write: Callable[[], Problem | None]) -> None:
    """Warn of what went wrong with the file; the deployment itself is complete."""

    def failed(why: str) -> Problem | None:
        hint = "run the same command again: it completes the file"
        return Problem("the lock file was not written", why, hint)

    try:
        problem = advice(write, failed)
    except Refused as error:
        problem = failed(str(error))
    run.warn([problem] if problem else [])


def _document(run: ScriptRun, *, fresh: bool) -> dict[str, Any]:
    """Return the deployment's lock file with this script's part as it is now."""
    ctx = run.ctx
    contents = run.story.record(ctx, fresh)
    version = contents.get("kubernetes", {}).get("version")
    resolved = {"aws_region": ctx.aws.region} | ({"kubernetes_version": version} if version else {})
    resolved |= database_sizes(ctx.config) | advice(lambda: published_amis(ctx), lambda _: {})
    return document_with(
        ctx.config,
        region=ctx.aws.region,
        part=run.story.part,
        contents=contents,
        configuration=configuration_of(ctx.config, **resolved),
        when=timestamp(ctx.clock.today()),
    )


def record_namenodes(run: ActionsRun) -> None:
    """Write the third script's part, where the deployment has a lock file."""
    from aws_setup.lockfile.namenodes import namenodes_part
    from aws_setup.namenodes.action import parse

    config = run.session.connections.config
    if config is None or not _is_deployed(lock_path(config)):
        return
    selection = run.request.selection

    def write() -> Problem | None:
        listed = map(parse, run.ctx.client.listing())
        actions = [action for action in listed if selection.index(action.name) is not None]
        document = document_with(
            config,
            region="",
            part=NAMENODES,
            contents=namenodes_part(selection.prefix, actions),
            configuration={},
            when=timestamp(run.clock.today()),
        )
        return write_lock(config, document)

    _warn_of(run, write)


def _is_deployed(path: Path) -> bool:
    return any(has_part(path, part) for part in (INFRASTRUCTURE, CLUSTER))


def compare(run: ScriptRun, other: Lock) -> None:
    """Print what differs between this deployment, as it is now, and that of a lock file."""
    this = _document(run, fresh=False)
    their = {"region": other.region, "configuration": other.configuration, **other.parts}
    their = without_private(their, secrets=secrets_of(run.ctx.config))
    found = differences(_compared(this), _compared(their))
    run.result.more["against"] = str(other.path)
    run.result.more["differences"] = [asdict(difference) for difference in found]
    print_differences(run.report, found, other=other.path.name)


def _compared(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: document.get(key) for key in ("region", *PARTS, "configuration")}
