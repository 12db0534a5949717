"""The second script's manual names every step, with commands that exist, and every known error."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.infrastructure.iam_policies import NODE_POLICIES
from aws_setup.infrastructure.service_account_role import EBS_CSI_ROLE
from aws_setup.openwhisk.invoker_memory import user_memory
from aws_setup.tables.cluster import cluster_steps
from tests.docs.test_infrastructure_manual import check_commands, places, sections
from tests.support.kube import tool

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "configure.md").read_text(encoding="utf-8")
STEPS, ERRORS = TEXT.split("\n## The steps and their manual equivalents\n")[1].split(
    "\n## Common errors\n"
)
CONFIG = Config(ssh_keypair_name="my-key", ssh_key_path="my-key.pem")

KNOWN = {
    "Your current IAM principal doesn't have access to Kubernetes objects": "cluster_admins",
    "The gen-certs job fails": "-nginx",
    "The EBS CSI driver is not authorised": "corrects them",
    "Pods stay Pending": "openwhisk_action_memory",
    "Nodes do not join": "openwhisk_core_instance_type",
    "helm says that another operation is in progress": "rolled",
    "field is immutable": "deletes those of the chart that change",
    "The address does not resolve": "40 minutes",
}
"""What people met with the original instructions, and a word of what the script does about it."""


def test_there_is_a_heading_for_every_step_and_no_other() -> None:
    named = places(STEPS)
    assert named.keys() == {step.name for step in cluster_steps(CONFIG)}


def test_every_section_has_its_commands() -> None:
    assert all("```sh\n" in section for section in sections(STEPS))


def test_every_aws_command_and_option_is_one_of_awss() -> None:
    assert check_commands(STEPS) > 15


def uses(program: str) -> Iterator[list[str]]:
    """Yield the words of every use of a program in the manual's commands."""
    for block in re.findall(r"```sh\n(.*?)```", STEPS, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.split()[:1] == [program]:
                yield line.split()[1:]


@lru_cache(maxsize=60)
def output_of(program: str, *words: str) -> str:
    """Return what a program says of itself."""
    path = str(tool(program)) if program in ("kubectl", "helm") else program
    done = subprocess.run([path, *words], capture_output=True, text=True, timeout=240, check=False)
    return done.stdout + done.stderr


DEEP = {"kubectl rollout": 2, "kubectl create": 2, "kubectl create secret": 3, "helm get": 2}
"""Commands with subcommands, and how many words name one."""


def page_of(program: str, words: list[str]) -> str:
    """Return the help of the command that some words call."""
    rest = words[2:] if words[0] == "-n" else words
    depth = max(DEEP.get(" ".join([program, *rest[:count]]), 1) for count in (1, 2))
    return output_of(program, *rest[:depth], "--help")


@pytest.mark.parametrize(("program", "least"), [("kubectl", 12), ("helm", 3)])
def test_every_command_and_option_of_a_program_is_one_that_it_has(program: str, least: int) -> None:
    every = list(uses(program))
    assert len(every) >= least
    shared = output_of("kubectl", "options") if program == "kubectl" else ""
    for words in every:
        page = page_of(program, words)
        assert "unknown command" not in page.lower(), words
        for option in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", " ".join(words)):
            known = rf"(?<![\w-]){re.escape(option)}(?![\w-])"
            assert re.search(known, page + shared), f"{program} {' '.join(words)}: {option}"


def test_the_certificate_of_the_manual_is_one_that_openssl_makes(tmp_path: Path) -> None:
    """Its options exist together: -addext with -x509 and -subj."""
    (words,) = uses("openssl")
    arguments = [word.replace("LOAD_BALANCER", "elb.example.com") for word in words]
    done = subprocess.run(
        ["openssl", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = ["openssl", "x509", "-in", "cert.pem", "-noout", "-ext", "subjectAltName"]
    done = subprocess.run(
        shown, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=True
    )
    assert "DNS:elb.example.com" in done.stdout


def test_the_values_are_the_products() -> None:
    expected = [CONFIG.openwhisk_chart, CONFIG.eks_node_role_name, *(spec.name for spec in ADDONS)]
    expected += [policy.rpartition("/")[2] for policy in NODE_POLICIES]
    expected += [EBS_CSI_ROLE.policies()[0][0], f"{CONFIG.openwhisk_release}-nginx"]
    expected.append(
        f"{user_memory(131_072, pods=234):,} MB of an\n{CONFIG.openwhisk_invoker_instance_type}"
    )
    assert [value for value in expected if value not in STEPS] == []


@pytest.mark.parametrize("error", KNOWN)
def test_every_known_error_has_what_the_script_does_about_it(error: str) -> None:
    found = dict(
        zip(re.findall(r"^### (.+)$", ERRORS, flags=re.MULTILINE), sections(ERRORS), strict=True)
    )
    assert KNOWN[error] in found[error]
