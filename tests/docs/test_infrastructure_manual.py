"""The manual equivalents name every step, in an order in which they work, with our values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from aws_setup.aws.context import Step
from aws_setup.config import Config
from aws_setup.infrastructure.launch_templates import auto_scaling_specs
from aws_setup.infrastructure.vm_groups import vm_groups
from aws_setup.openwhisk.certificate_steps import ServerCertificate
from aws_setup.tables.infrastructure import infrastructure_steps
from aws_setup.tables.teardown import infrastructure_teardown_steps

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "infrastructure.md").read_text(encoding="utf-8")
CREATE, DESTROY = TEXT.split("\n## Create\n")[1].split("\n## Destroy\n")
CONFIG = Config(ssh_keypair_name="my-key", ssh_key_path="my-key.pem")
RENAMED = {("eks", "update-nodegroup-version"): {"version": "kubernetes-version"}}
"""Options that the aws program calls otherwise, as --version is its own.

https://github.com/aws/aws-cli/blob/develop/awscli/customizations/argrename.py
"""

CLI_FLAGS = {"query", "output", "count", "region"}
"""Options of the AWS CLI itself, not of AWS's API."""
CLI_COMMANDS = {("eks", "update-kubeconfig")}
"""Commands that the AWS CLI has beside AWS's API."""
EXTRA = {"Wait", "What remains"}
"""Headings that are no step."""


def places(text: str) -> dict[str, int]:
    """Return each step that a heading names, with the heading's place."""
    headings = re.findall(r"^### (.+)$", text, flags=re.MULTILINE)
    return {name: place for place, line in enumerate(headings) for name in line.split(", ")}


def sections(text: str) -> list[str]:
    """Return the texts below the headings."""
    return re.split(r"^### .+$", text, flags=re.MULTILINE)[1:]


def infrastructure_to_destroy() -> list[Step]:
    """Return what destroy inspects, without what belongs to configure_eks_cluster.py."""
    own_steps = {step.name for step in infrastructure_steps(CONFIG)}
    return [
        step
        for step in infrastructure_teardown_steps(CONFIG)
        if step.name in own_steps or step.part == "others"
    ]


def test_create_has_a_heading_for_every_step_and_no_other() -> None:
    assert places(CREATE).keys() - EXTRA == {step.name for step in infrastructure_steps(CONFIG)}


def test_destroy_has_a_heading_for_every_step_and_no_other() -> None:
    assert places(DESTROY).keys() - EXTRA == {step.name for step in infrastructure_to_destroy()}


def test_create_never_uses_what_is_not_created_yet() -> None:
    order = places(CREATE)
    for step in infrastructure_steps(CONFIG):
        assert all(order[need] < order[step.name] for need in step.needs), step.name


def test_destroy_deletes_nothing_that_is_still_needed() -> None:
    order = places(DESTROY)
    for step in infrastructure_to_destroy():
        # The certificate is OpenWhisk's: docs/configure.md deletes it.
        needs = set(step.needs) - {ServerCertificate.name}
        assert all(order[need] > order[step.name] for need in needs), step.name


@pytest.mark.parametrize("text", [CREATE, DESTROY], ids=["create", "destroy"])
def test_every_section_has_its_commands(text: str) -> None:
    for section in sections(text):
        assert "```sh\n" in section
        assert "aws " in section


def test_the_values_are_the_defaults() -> None:
    expected = [CONFIG.vpc_cidr, CONFIG.vpc_name, CONFIG.security_group_name]
    expected += [*CONFIG.public_subnet_cidrs, *CONFIG.private_subnet_cidrs]
    expected += [CONFIG.eks_cluster_name, CONFIG.eks_iam_role_name]
    for group in vm_groups(CONFIG):
        expected += [group.title, group.component, group.ami, group.instance_type]
        expected += [str(address) for address in group.addresses]
    for kind in auto_scaling_specs(CONFIG):
        expected += [kind.template, kind.component, kind.ami, kind.instance_type]
    sizes = f"--min-size {CONFIG.autoscaling_group_min_size}"
    sizes += f" --max-size {CONFIG.autoscaling_group_max_size}"
    expected.append(f"{sizes} --desired-capacity {CONFIG.autoscaling_group_desired_capacity}")
    assert [value for value in expected if value not in CREATE] == []


def commands(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield service, command and the rest of the line of every use of the AWS CLI."""
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for use in re.split(r"(?<![\w/])aws (?=[a-z0-9]+ [a-z])", line)[1:]:
                service, command, *rest = use.split(maxsplit=2)
                yield service, command.split(")")[0], " ".join(rest)


def test_every_command_and_option_is_one_of_awss() -> None:
    assert check_commands(TEXT) > 40


def check_commands(text: str) -> int:
    """Fail on a command or an option that AWS does not have; return how many were checked."""
    session = botocore.session.get_session()
    seen = 0
    for service, command, rest in commands(text):
        if command == "wait":
            waiter = rest.split()[0].replace("-", "_")
            known = {xform_name(name) for name in waiters(session, service)}
            assert waiter in known, f"aws {service} wait {waiter}"
            continue
        # describe-$1 is in a function; what it is called with is known from its uses.
        if "$" in command or (service, command) in CLI_COMMANDS:
            continue
        model = session.get_service_model(service)
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        assert command in operations, f"aws {service} {command}"
        shape = model.operation_model(operations[command]).input_shape
        members = {xform_name(name, "-") for name in shape.members} if shape else set()
        renamed = RENAMED.get((service, command), {})
        members = {renamed.get(name, name) for name in members}
        for flag in set(re.findall(r"(?<!\S)--([a-z-]+)", rest)) - CLI_FLAGS:
            assert flag in members, f"aws {service} {command} --{flag}"
        seen += 1
    return seen


def waiters(session: botocore.session.Session, service: str) -> list[str]:
    """Return the names of a service's waiters."""
    return list(session.get_waiter_model(service).waiter_names)
