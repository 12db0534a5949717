"""The end of a run: whether λFS is ready to use, by the checks that only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_setup.aws.context import Context
from aws_setup.aws.errors import AWS_ERRORS, to_setup_error
from aws_setup.config import Config
from aws_setup.config.ssh_switches import needs_ssh
from aws_setup.engine.wait import SystemClock
from aws_setup.engine.wording import count_of
from aws_setup.errors import SetupError
from aws_setup.infrastructure.ssh_login import CLIENT, login_command

if TYPE_CHECKING:
    from aws_setup.verify.chain import Chain
    from aws_setup.verify.check import Check, Verification


def unlock_for_check(ctx: Context) -> None:
    """Ask for the SSH key's passphrase now, where `check_readiness` will need it at the end."""
    from aws_setup.openwhisk.credentials_file import read_credentials

    if needs_ssh(ctx.config) and read_credentials(ctx.config) is not None:
        unlock_machines(ctx)


def unlock_machines(ctx: Context) -> None:
    """Ask for the SSH key's passphrase, where a machine of the deployment can be reached."""
    from aws_setup.software.machines import unlock_keys
    from aws_setup.ssh.pool import MachinePool

    unlock_keys(ctx, MachinePool(ctx.config))


@dataclass(frozen=True)
class Readiness:
    """Whether the cheap checks passed, and the lines that say so, or what is missing."""

    passed: bool
    lines: tuple[str, ...]


def check_readiness(
    context: Callable[[], Context], config: Config, clock: SystemClock
) -> Readiness | None:
    """Run the cheap checks; None where an earlier part of the deployment does not exist yet.

    They run when OpenWhisk has an address and there is a λFS client VM. A failure to find it out,
    such as missing AWS credentials, is in the lines: it ends no run.

    Args:
        context: returns the deployment in AWS; called only where OpenWhisk has an address.
        config: the configuration.
        clock: the run's clock.
    """
    if not needs_ssh(config):
        return None
    from aws_setup.openwhisk.credentials_file import read_credentials

    if read_credentials(config) is None:
        return None
    try:
        return _check(context(), clock)
    except (SetupError, *AWS_ERRORS) as error:
        return Readiness(False, (f"λFS was not checked: {to_setup_error(error)}",))


def _check(ctx: Context, clock: SystemClock) -> Readiness | None:
    # The checks are a tenth of what a command imports, and few commands make any.
    from aws_setup.software.clients.desired import LAMBDA_FS
    from aws_setup.verify.check import CheckStatus, select
    from aws_setup.verify.table import CHECKS, READINESS

    with open_chain(ctx, clock) as chain:
        if not chain.machines(LAMBDA_FS.step):
            return None
        verification = run_chain(chain, select(CHECKS, names=READINESS))
        last = verification.outcomes[-1]
        if verification.passed and last.status is CheckStatus.PASS:
            return Readiness(True, (_ready(chain),))
    first = next(iter(verification.broken), last)
    fix = first.fix or "run python create_aws_infrastructure.py verify, which invokes the NameNodes"
    cause = f"λFS is not ready: {first.name}: {first.cause}"
    return Readiness(False, (cause, f"  Fix: {fix}", *(f"  {text}" for text in chain.said)))


def _ready(chain: Chain) -> str:
    endpoint, number = chain.settings.endpoint, chain.settings.deployments
    login = login_command(chain.ctx.config, CLIENT, address=chain.client.address)
    namenodes = count_of(number, "NameNode")
    return f"λFS is ready: {namenodes} at {endpoint.url}. Log in to its client: {login}"


@contextmanager
def open_chain(
    ctx: Context, clock: SystemClock, *, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Chain]:
    """Yield what the checks inspect, with its own SSH connections; `tell` is told what they do."""
    from aws_setup.ssh.keys import KeyRing
    from aws_setup.ssh.pool import MachinePool
    from aws_setup.verify.chain import Chain

    pool = MachinePool(ctx.config, clock, keys=ctx.aws.shared.get(KeyRing))
    try:
        yield Chain(ctx.bound(tell, ctx.progress), pool, clock)
    finally:
        pool.close()


def run_chain(chain: Chain, checks: Sequence[Check[Chain]]) -> Verification:
    """Run checks of a deployment; the listener of its context is called before each deep one."""
    from aws_setup.verify.check import Verification, run_checks

    def announce(check: Check[Chain]) -> None:
        if check.deep:
            chain.ctx.note(f"checking: {check.name}")

    outcomes = run_checks(
        checks, chain, clock=chain.clock, begin=announce, explain=chain.ctx.explain
    )
    return Verification(list(outcomes))
