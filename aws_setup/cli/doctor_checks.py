"""The checks of `python -m aws_setup doctor`: none needs a configuration, and none writes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aws_setup.aws.context import Context
from aws_setup.aws.errors import CLOCK_TOLERANCE
from aws_setup.aws.inventory import Inventory
from aws_setup.aws.session import Aws
from aws_setup.cli.aws_commands import check_account, check_region
from aws_setup.cli.installed import INSTALL, REQUIREMENTS, package_problems, python_problem
from aws_setup.config import Config
from aws_setup.config.aws_variables import has_keys, used_profile
from aws_setup.config.general import DETECT_ADDRESS
from aws_setup.config.regular_files import read_file
from aws_setup.eks.access_entries import caller_principal
from aws_setup.engine.plan import inspect_all
from aws_setup.engine.wait import SystemClock
from aws_setup.engine.wording import count_of
from aws_setup.openwhisk.helm import find_helm
from aws_setup.preflight import key_pair, quotas
from aws_setup.preflight.planned import planned_resources
from aws_setup.preflight.public_ip import operator_cidrs, seen_address
from aws_setup.preflight.results import Finding, Severity
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.verify.check import Broken, Check, NotApplicable

SCHEMA = REQUIREMENTS.parent / "docs" / "config.schema.json"
"""The JSON Schema of the configuration, which editors read."""

_MODELINE = re.compile(r"^#\s+yaml-language-server\s*:.*?\$schema=(\S+)", re.MULTILINE)
"""What the editors' YAML language server reads: a schema's name ends at the first space."""


@dataclass
class Computer:
    """What the checks look at; `path` is the configuration's file, None without one."""

    clock: SystemClock
    config: Config | None = None
    path: Path | None = None
    profile: str | None = None
    region: str | None = None

    @cached_property
    def settings(self) -> Config:
        """The configuration, else the default one, with the options of the command line."""
        if self.config:
            return self.config
        found = Config(ssh_keypair_name="none", ssh_key_path="none")
        return found.model_copy(update={"aws_profile": self.profile, "aws_region": self.region})

    @cached_property
    def aws(self) -> Aws:
        """The session; raises Refused for a profile that does not exist."""
        return Aws(profile=self.settings.aws_profile, region=self.settings.aws_region)

    @cached_property
    def refused_login(self) -> Exception | None:
        """Why the credentials cannot be loaded for which a person is asked; None for others.

        First read in the main thread, before anything is timed.
        """
        try:
            if self.aws.asks_user:
                self.aws.load_credentials()
        except Exception as error:  # noqa: BLE001 -- the check of the credentials raises it
            return error
        return None


def _python(_: Computer) -> str:
    problem = python_problem(sys.version_info[:3])
    if problem:
        raise Broken(problem, "use a newer Python")
    return f"Python {sys.version.split()[0]}"


def _packages(_: Computer) -> str:
    problems = package_problems()
    if problems:
        raise Broken("; ".join(problems), INSTALL)
    return "all of requirements.txt, in the versions that it allows"


def _helm(_: Computer) -> str:
    return find_helm()


def _kubectl(_: Computer) -> str:
    path = shutil.which("kubectl")
    if path is None:
        why = "it is not on the PATH; only you need it, to look at the cluster yourself"
        raise NotApplicable(f"{why}: https://kubernetes.io/docs/tasks/tools/")
    return path


def _editor(computer: Computer) -> str:
    """Check that the editor finds the schema that the configuration's first lines name."""
    if computer.path is None:
        raise NotApplicable("no configuration file")
    named = _MODELINE.search(read_file(computer.path).decode("utf-8", "replace"))
    fix = f"begin the file with `# yaml-language-server: $schema={SCHEMA.as_uri()}`"
    if named is None:
        raise NotApplicable(f"the configuration names no schema; {fix}")
    if re.match(r"https?://", named[1]):
        return named[1]
    is_uri = named[1].startswith("file:")
    schema = computer.path.parent / (url2pathname(urlsplit(named[1]).path) if is_uri else named[1])
    if not schema.is_file():
        raise Broken(f"there is no {named[1]}, which the configuration names as its schema", fix)
    return str(named[1])


def _address(computer: Computer) -> str:
    configured = computer.settings.user_public_ip
    fixed = operator_cidrs(computer.settings) if configured != DETECT_ADDRESS else ()
    try:
        seen = seen_address()
    except (OSError, ValueError) as error:
        if fixed:
            return f"{', '.join(fixed)} is configured; {error}"
        fix = "set user_public_ip, or check your network connection and proxy"
        raise Broken(str(error), fix) from None
    if fixed and not any(_covers(cidr, seen) for cidr in fixed):
        why = f"user_public_ip is {', '.join(fixed)}, and AWS sees you at {seen}"
        raise Broken(why, "set user_public_ip to DEFAULT_VALUE, unless you use a VPN")
    if not ip_address(seen).is_global:
        raise Broken(f"{seen} is not a public address", "set user_public_ip to your public address")
    return seen


def _covers(cidr: str, address: str) -> bool:
    return ip_address(address) in ip_network(cidr)


def _region(computer: Computer) -> str:
    check_region(computer.aws)
    return computer.aws.region


def _credentials(computer: Computer) -> str:
    if computer.refused_login:
        raise computer.refused_login
    kind = computer.aws.identity.arn.split(":")[5].split("/")[0]
    check_account(computer.aws, computer.settings)
    profile = used_profile(computer.settings.aws_profile, os.environ)
    source = f", profile {profile}" if profile else ""
    if not source and has_keys(os.environ):
        source = ", the keys of AWS_ACCESS_KEY_ID"
    return f"AWS accepts them ({kind}{source}){_cluster_access(computer)}"


def _cluster_access(computer: Computer) -> str:
    """Return a remark about who will administer the cluster; raises SetupError if nobody could."""
    config = computer.settings
    if not config.create_eks_cluster or caller_principal(computer.aws, config):
        return ""
    return "; a cluster that they create only they and cluster_admins can administer"


def _clock(computer: Computer) -> str:
    skew = computer.aws.clock_skew
    if skew is None:
        raise NotApplicable("AWS has not answered")
    if abs(skew) > CLOCK_TOLERANCE:
        direction = "ahead of" if skew > 0 else "behind"
        minutes = count_of(round(abs(skew) / 60), "minute")
        why = f"this computer's clock is {minutes} {direction} AWS's"
        raise Broken(why, "set the clock, or turn on its synchronisation")
    return f"within {max(2, abs(round(skew)))} s of AWS's"


def _key_pair(computer: Computer) -> str:
    if computer.config is None:
        return _any_key_pair(computer.aws)
    findings = key_pair.key_findings(computer.config, computer.aws)
    for finding in findings:
        if finding.severity is Severity.REFUSE:
            raise _broken(finding)
    for finding in key_pair.world_readable(computer.config.ssh_key_path):
        raise _broken(finding)
    remarks = "".join(f"; {finding.what}" for finding in findings)
    remarks += key_pair.windows_remark(computer.config.ssh_key_path, windows=os.name == "nt")
    return f"{computer.config.ssh_keypair_name} is registered and RSA{remarks}"


def _any_key_pair(aws: Aws) -> str:
    pairs = aws.ec2.describe_key_pairs()["KeyPairs"]
    count = sum(pair.get("KeyType", "rsa") == "rsa" for pair in pairs)
    if not count:
        create = "aws ec2 create-key-pair --key-type rsa --key-name NAME"
        raise Broken(f"{aws.region} has no RSA key pair", f"create one: `{create}`")
    return f"{count} RSA in {aws.region}; no configuration chooses one"


def _quotas(computer: Computer) -> str:
    """Compare the quotas with what a run would still create."""
    config = computer.settings.with_amis_of(computer.aws.region)
    inventory = Inventory(computer.aws, config)
    ctx = Context(config=config, aws=computer.aws, clock=computer.clock, inventory=inventory)
    try:
        rows = inspect_all(infrastructure_steps(config), ctx, stop=computer.clock.stop)
        planned = planned_resources(ctx, rows)
        findings = quotas.check(planned).findings
    finally:
        inventory.close()
    failed = [finding for finding in findings if finding.severity is Severity.REFUSE]
    for finding in failed or findings:
        raise _broken(finding)
    count = sum(1 for _ in quotas.needed_quotas(planned))
    return f"all {count} that a run needs are large enough" if count else "a run creates nothing"


def _broken(finding: Finding) -> Broken:
    return Broken(f"{finding.what}: {finding.why}" if finding.why else finding.what, finding.hint)


LOCAL = (
    Check("python", _python),
    Check("packages", _packages),
    Check("helm", _helm),
    Check("kubectl", _kubectl),
    Check("editor", _editor),
)
"""What this computer has."""

NETWORK = (Check("your address", _address),)

IN_AWS = (
    Check("region", _region),
    Check("credentials", _credentials, needs=("region",)),
    Check("clock", _clock),
    Check("key pair", _key_pair, needs=("credentials",)),
    Check("quotas", _quotas, needs=("credentials",)),
)
"""What AWS says, one after another: each needs an answer to the one before."""

GROUPS = (LOCAL, NETWORK, IN_AWS)
"""The checks, by what can wait at the same time."""
