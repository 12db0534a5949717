"""The verb allow-my-ip: the operator's present address is let in, the earlier one taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from aws_setup.cli.commands import ScriptRun, confirm_writes, execute_steps
from aws_setup.cli.run_recorder import Mode
from aws_setup.config.general import DETECT_ADDRESS
from aws_setup.engine.plan import Row, inspect_all, only, refusals
from aws_setup.engine.result import changes
from aws_setup.engine.runner import apply
from aws_setup.engine.wording import count_of
from aws_setup.errors import Interrupted, Problem, Refused
from aws_setup.infrastructure.operators import LONGEST_TAG, allowed_cidrs
from aws_setup.infrastructure.security_group import owned_group
from aws_setup.openwhisk.allow_my_ip import allow_steps, ranges_to_keep, unlisted
from aws_setup.preflight import access_ranges, public_ip
from aws_setup.preflight.results import Severity


def allow_my_ip(run: ScriptRun) -> None:
    """Plan, ask and change who reaches SSH, the cluster's endpoint and OpenWhisk.

    Raises:
        Refused: the address is not known or not public, or there is nothing to let it in to.
    """
    ctx = run.ctx
    ctx.defaults = replace(ctx.defaults, **public_ip.known(ctx.config))
    _check_addresses(run)
    ctx.refresh()
    ctx.defaults = replace(ctx.defaults, kept_cidrs=_kept(run))
    steps = allow_steps()
    rows = inspect_all(only(steps, run.only) if run.only else steps, ctx, stop=run.clock.stop)
    refused = refusals(rows)
    if refused:
        raise Refused.all(refused)
    if all(row.found is None or row.found.skipped for row in rows):
        raise _nothing(run, rows)
    run.warn([Problem(*item) for item in unlisted(ctx)])
    todo = changes(rows)
    _check_room(run, todo)
    if todo:
        run.report.plan(rows)
        confirm_writes(
            run, f"change who is let in at {len(todo)} of {count_of(len(rows), 'place')}"
        )
    execute_steps(run, rows, apply, shown=todo, mode=Mode.APPLY)
    run.result.more["allowed_cidrs"] = list(allowed_cidrs(ctx))
    if run.result.result == "interrupted":
        raise Interrupted
    if run.result.result == "ok":
        text = "Let in" if todo else "Nothing to do, let in already"
        run.report.result(f"{text}: {', '.join(allowed_cidrs(ctx))}.")


def _check_addresses(run: ScriptRun) -> None:
    """Refuse an unknown or private address; warn of a configured one that AWS does not see."""
    ctx, config = run.ctx, run.ctx.config
    present = ctx.defaults.operator_cidrs
    if not present:
        raise Refused(
            "your public address is not known",
            ctx.defaults.address_problem,
            "set user_public_ip to your public address",
        )
    private = [cidr for cidr in present if not ip_network(cidr).is_global]
    if private:
        raise Refused(
            f"{private[0]} is not a public address",
            "AWS sees another one, and EKS refuses private ranges",
            "set user_public_ip to DEFAULT_VALUE, and operators to public addresses",
        )
    if config.user_public_ip == DETECT_ADDRESS:
        return
    try:
        seen = public_ip.seen_address()
    except (OSError, ValueError):
        return
    if not any(ip_address(seen) in ip_network(cidr) for cidr in present):
        what = f"AWS sees you at {seen}, which is not let in"
        why = f"user_public_ip names {', '.join(public_ip.own_cidrs(config))}"
        run.warn([Problem(what, why, "set user_public_ip to DEFAULT_VALUE, unless you use a VPN")])


def _check_room(run: ScriptRun, todo: Sequence[Row]) -> None:
    """Refuse, or warn of, more ranges than a place takes."""
    found = access_ranges.findings(run.ctx, {row.step.name for row in todo})
    refused = [item.problem for item in found if item.severity is Severity.REFUSE]
    if refused:
        raise Refused.all(refused)
    run.warn([item.problem for item in found])


def _kept(run: ScriptRun) -> tuple[str, ...]:
    """Return the earlier addresses that --keep keeps, none without it."""
    if not run.keep:
        return ()
    if owned_group(run.ctx) is None:
        raise Refused(
            "--keep: there is nowhere to note the earlier addresses",
            "they are kept in a tag of the deployment's security group, and it has none",
            "list the addresses in operators, and leave --keep out",
        )
    kept = ranges_to_keep(run.ctx)
    if len(" ".join(kept)) > LONGEST_TAG:
        raise Refused(
            f"--keep: the addresses are too many to note ({len(kept)})",
            f"a tag holds {LONGEST_TAG} characters",
            "list those that you need in operators, and leave --keep out",
        )
    return kept


def _nothing(run: ScriptRun, rows: list[Row]) -> Refused:
    reasons = [row.found.skipped for row in rows if row.found]
    return Refused(
        "there is nothing to let you in to",
        "; ".join(dict.fromkeys(reasons)) or "nothing exists",
        "run python create_aws_infrastructure.py to create it",
    )
