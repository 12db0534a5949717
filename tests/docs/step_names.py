"""aws_setup/cli/step_names.py, written from the tables: the names that the shell completes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import configure_eks_cluster
import create_aws_infrastructure
from aws_setup.cli.script import Script
from aws_setup.config import Config
from aws_setup.verify.table import CHECKS

PATH = Path(__file__).resolve().parents[2] / "aws_setup" / "cli" / "step_names.py"
CONFIG = Config(ssh_keypair_name="key", ssh_key_path="key.pem", storage_probe=True)


def table(script: Script) -> list[str]:
    """Return the names of a script's steps in the default configuration."""
    return [step.name for step in script.story().table(CONFIG)]


def removal(script: Script) -> list[str]:
    """Return the names of the steps of its destroy."""
    return [step.name for step in script.story().removal(CONFIG)]


def step_names_text() -> str:
    """Return the module with the names that the tables have now."""
    names: Mapping[str, list[str]] = {
        "INFRASTRUCTURE": table(create_aws_infrastructure.SCRIPT),
        "INFRASTRUCTURE_REMOVAL": removal(create_aws_infrastructure.SCRIPT),
        "CLUSTER": table(configure_eks_cluster.SCRIPT),
        "CLUSTER_REMOVAL": removal(configure_eks_cluster.SCRIPT),
        "CHECKS": [check.name for check in CHECKS],
    }
    text = PATH.read_text(encoding="utf-8")
    for name, values in names.items():
        before, _, rest = text.partition(f"\n{name} = (\n")
        after = rest.partition(")  # fmt: skip\n")[2]
        text = f"{before}\n{name} = (\n{_lines(values)})  # fmt: skip\n{after}"
    return text


def _lines(values: Iterable[str]) -> str:
    """Return strings as the lines of a tuple, up to 100 columns wide."""
    lines = ["   "]
    for value in values:
        word = f' "{value}",'
        if len(lines[-1] + word) > 100:
            lines.append("   ")
        lines[-1] += word
    return "".join(f"{line}\n" for line in lines)
