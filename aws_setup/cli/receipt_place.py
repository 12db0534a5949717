"""Account and region of the receipt: a destroy elsewhere leaves this computer's files alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aws_setup.aws.context import Context, Step
from aws_setup.cli.command_run import CommandRun
from aws_setup.config import Config
from aws_setup.config.paths import receipt_path
from aws_setup.config.regular_files import read_file
from aws_setup.engine.decoding import Undecodable, json_object
from aws_setup.engine.safe_text import json_text
from aws_setup.errors import Problem, Refused

ARN_ACCOUNT = re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):")


@dataclass(frozen=True)
class OtherPlace:
    """Where the deployment of the receipt is: in `region`, or, where that is '', in an account."""

    name: str
    receipt: Path
    here: str
    region: str = ""

    def warning(self, verb: str) -> Problem:
        """Return the warning of a command that looks elsewhere."""
        if self.region:
            what = f"{self.name} was created in {self.region}, and this run looks in {self.here}"
            use = f"add --region {self.region}"
        else:
            what = f"{self.name} was created in another account than that of these credentials"
            use = "use its credentials, as with --profile"
        why = f"{self.receipt} says so"
        if verb == "destroy":
            return Problem(
                what,
                f"{why}; the files of that deployment on this computer are kept",
                f"to destroy it, {use}",
            )
        return Problem(
            what,
            why,
            f"for that one, {use}; for another one here, set another infrastructure_json_path, "
            "so that its files are kept",
        )


def of_another_place(ctx: Context) -> OtherPlace | None:
    """Return where the receipt's deployment is; None where it is in this account and region.

    A receipt that is missing, damaged, or names no account, is of no other place.
    """
    path = receipt_path(ctx.config)
    try:
        content = read_file(path)
        region = json_object(content).get("aws_region")
    except (OSError, Undecodable):
        return None
    aws, name = ctx.aws, ctx.config.deployment_name
    accounts = set(ARN_ACCOUNT.findall(content.decode(errors="replace")))
    if accounts and aws.identity.account not in accounts:
        return OtherPlace(name, path, aws.region)
    if isinstance(region, str) and region != aws.region and region in aws.known_regions():
        return OtherPlace(name, path, aws.region, region)
    return None


def refuse_shared_receipt(config: Config) -> None:
    """Refuse a receipt that belongs to a deployment of another name.

    All files of a deployment on this computer are beside its receipt: keys, the address and key of
    its OpenWhisk, what is registered there. They would be taken for those of this deployment.

    Raises:
        Refused: infrastructure_json_path names a file of another deployment.
    """
    path, name = receipt_path(config), config.deployment_name
    try:
        other = json_object(read_file(path)).get("deployment_name")
    except (OSError, Undecodable):
        return
    if isinstance(other, str) and other not in ("", name):
        raise Refused(
            f"infrastructure_json_path: {path} belongs to the deployment {other}",
            f"this configuration is of {name}, and the files of {other} on this computer are there",
            "set infrastructure_json_path to a folder, in which each deployment has its own files, "
            f"or to another .json; or deployment_name: {other}",
        )


def warn_of_another_place(run: CommandRun[Context], verb: str) -> None:
    """Warn that a command looks elsewhere than where the receipt's deployment is.

    destroy does so itself: it keeps that deployment's files.
    """
    if verb != "destroy" and (place := of_another_place(run.ctx)):
        run.warn([place.warning(verb)])


def may_be_of(account: str, entry: object) -> bool:
    """Return whether an entry of a receipt can be one of an account: it names no other one."""
    accounts = set(ARN_ACCOUNT.findall(json_text(entry, default=str)))
    return not accounts or account in accounts


def is_elsewhere(step: Step, place: OtherPlace | None) -> bool:
    """Return whether a resource belongs to the deployment of another `place`.

    In another region these are files on this computer, and what is seen from all regions, such as
    roles; in another account they are the files alone.
    """
    return place is not None and (step.local or (bool(place.region) and not step.regional))
