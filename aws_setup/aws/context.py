"""The context of this project's steps: the configuration, AWS and its inventory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from aws_setup.aws.errors import to_setup_error
from aws_setup.aws.idempotency import retry_not_found
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.aws.tag_drift import TAGS, Tagged, tag_drift, write_missing
from aws_setup.config import Config
from aws_setup.config.lock_file import Lock
from aws_setup.config.paths import kept_copy_path
from aws_setup.engine import go_yaml
from aws_setup.engine import step as engine
from aws_setup.engine.private_files import keep_copy
from aws_setup.engine.step import DriftKey
from aws_setup.errors import SetupError

T = TypeVar("T")


@dataclass(frozen=True)
class Defaults:
    """What preflight determined by asking AWS, for keys that the configuration does not set.

    `operator_cidrs` are the caller's public addresses as ranges, none when they are not known;
    `address_problem` says why. `kept_cidrs` are further ranges to let in; None: those that the
    security group's tag names.
    `chart_commit` is what openwhisk_chart_ref was at when the plan was shown.
    """

    zones: tuple[str, ...] = ()
    operator_cidrs: tuple[str, ...] = ()
    kept_cidrs: tuple[str, ...] | None = None
    address_problem: str = ""
    kubernetes_version: str = ""
    chart_commit: str = ""


@dataclass(kw_only=True)
class Context(engine.RunContext):
    """The context of a run against AWS.

    `reformat` is True with --reformat: formatted file systems are then formatted again.
    `cluster_ends` is True for what a destroy deletes with the cluster: nothing waits long for it.
    `remove_images` is True with --images: destroy then deletes copied AMIs, too.
    `repeats` is the lock file of --from, None without it.
    `launches` are the client tokens of the machines that this run has asked for and that AWS has
    not refused. `scaled` are the ids of those that auto-scaling groups have launched during it.
    """

    config: Config
    aws: Aws
    inventory: Inventory
    defaults: Defaults = field(default_factory=Defaults)
    reformat: bool = False
    cluster_ends: bool = False
    remove_images: bool = False
    repeats: Lock | None = None
    launches: set[str] = field(default_factory=set)
    scaled: set[str] = field(default_factory=set)

    def refresh(self) -> None:
        """Start the inventory's list calls, all at once."""
        self.inventory.load()

    def keep(self, what: str, content: Mapping[str, Any]) -> None:
        """Write a copy of what is about to be overwritten, beside the receipt.

        Raises:
            SetupError: it cannot be written; nothing may be overwritten then.
        """
        plain = json.loads(json.dumps(content, default=str))
        text = go_yaml.dump(plain, sort_keys=False, allow_unicode=True)
        try:
            path = keep_copy(kept_copy_path(self.config, what), text)
        except OSError as error:
            raise SetupError(
                f"no copy can be kept of what {what} overwrites; nothing was overwritten",
                " ".join(str(error).split()),
                "make infrastructure_json_path writable, or free disk space, and run again",
            ) from error
        self.note(f"what this overwrites is kept in {path}")

    def examine(self, step: engine.Step[Any], found: engine.Found) -> engine.Found:
        """Return a resource with the drift of its tags; adopted ones have tags of others."""
        other = found.skipped or any(
            drift.key in (DriftKey.OWNER, DriftKey.REGION) for drift in found.drift
        )
        if self.owned_only or step.adopted or other or not isinstance(step, Tagged):
            return found
        return replace(found, drift=(*found.drift, *tag_drift(step.tagged(self, found))))

    def correct(self, step: engine.Step[Any], found: engine.Found) -> engine.Found:
        """Write the tags that are missing or were changed; those of others are kept."""
        if not any(drift.key == TAGS for drift in found.drift) or not isinstance(step, Tagged):
            return found
        write_missing(step.tagged(self, found), note=self.note)
        self.inventory.forget()
        left = tuple(drift for drift in found.drift if drift.key != TAGS)
        return replace(found, drift=left)

    def retry(self, act: Callable[[], T]) -> T:
        """Do something, again while AWS does not know yet what an earlier step has created."""
        return retry_not_found(act, clock=self.clock, note=self.note)

    def explain(self, error: Exception) -> Exception:
        """Return AWS's and botocore's errors as SetupErrors with cause and fix."""
        return to_setup_error(error)


Step: TypeAlias = engine.Step[Context]
ExistingResource: TypeAlias = engine.ExistingResource[Context]
CleanupStep: TypeAlias = engine.CleanupStep[Context]
