"""A number with its noun: 1 never has a plural, wherever a text counts something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.engine.wording import count_of

ROOT = Path(__file__).parents[2]

NOUNS = (
    "actions activations addresses attempts balancers bytes certificates characters clients "
    "containers copies days disks entries events failures files groups hosts hours images "
    "instances interfaces invokers items keys lines machines members minutes NameNodes nodes "
    "objects others parts places pods ports processes replicas resources retries rows rules "
    "scripts seconds servers services steps subnets tables tags tries users values variables "
    "volumes weeks znodes zones AMIs VMs VPCs"
)
VERBS = "has|contains|repeats|starts|of|was|several|MB|takes"
COUNTED = re.compile(rf" (?!(?:{VERBS})\b)(?:[\w-]+ ){{0,2}}?(?:{'|'.join(NOUNS.split())})\b")

ALWAYS_MORE = {
    " characters, of ": "more than the limit that a text exceeds",
    " bytes in UTF-8, of ": "more than the limit that a text exceeds",
    " tags; AWS takes 50": "more than a resource may have",
    " values": "a limit of thousands",
    " ZooKeeper VMs tolerate": "an even number of servers",
    " servers survive": "an even number of servers",
    " VPCs are named ": "more than one of a name",
    " NameNodes of ": "more NameNodes than fit, and at least one fits",
    " addresses: a proxy": "more than one address in an answer",
    " machines, desired": "a range of sizes",
    " machines, ": "a range of sizes",
    " disks)": "shown for more than one only",
    " VMs)": "shown for more than one only",
    " NameNodes)": "shown for more than one only",
    " bytes, ": "the size of a file",
    " subnets ": "ids, not a number",
}
"""What follows a number that is never 1, and why it never is."""


def counted(source: str) -> Iterator[str]:
    """Yield what follows the number, where an f-string of a module has a plural behind one."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                number = ast.unparse(value.value)
                constant = re.fullmatch(r"[A-Z_0-9]+( // \d+)?", number)
                numeric = "len(" in number or re.fullmatch(r"[\w.]+( [-+*/]+ [\w.]+)*", number)
                if numeric and not constant and COUNTED.match(str(text.value)):
                    yield str(text.value)


def test_every_counted_noun_agrees_with_its_number() -> None:
    """The emulated services are exempt: their texts are AWS's."""
    modules = [*ROOT.glob("*.py"), *(ROOT / "aws_setup").rglob("*.py")]
    wrong = [
        f"{path.relative_to(ROOT)}: {{…}}{text}"
        for path in modules
        if "rehearsal" not in path.parts
        for text in counted(path.read_text(encoding="utf-8"))
        if not text.startswith(tuple(ALWAYS_MORE))
    ]
    assert not wrong, "use count_of of aws_setup/engine/wording.py"


@pytest.mark.parametrize(
    "source",
    ["f'{len(found)} machines left'", "f'{done} of {total} steps'", "f'{left} healthy invokers'"],
)
def test_a_plural_behind_a_number_is_found(source: str) -> None:
    assert list(counted(source))


def test_one_and_others() -> None:
    texts = [count_of(n, "address is", "addresses are") for n in (0, 1, 2)]
    assert texts == ["0 addresses are", "1 address is", "2 addresses are"]
    assert count_of(1, "node") == "1 node"
    assert count_of("unknown", "node") == "unknown nodes"


COMMAND = re.compile(
    r"(?:\brun |`)(?:create_aws_infrastructure|configure_eks_cluster|whisk_helper)\.py"
)


def test_a_command_of_a_message_can_be_pasted() -> None:
    """The scripts are no programs on the PATH: `python` is a part of their command."""
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in [*ROOT.glob("*.py"), *(ROOT / "aws_setup").rglob("*.py")]
        for text in _shown(ast.parse(path.read_text(encoding="utf-8")))
        if COMMAND.search(text)
    ]
    assert found == []


def _shown(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    statements = [
        body
        for node in ast.walk(tree)
        if isinstance(node, documented)
        for body in node.body
        if isinstance(body, ast.Expr)
    ]
    documentation = {id(statement.value) for statement in statements}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield from [node.value] if isinstance(node.value, str) else []
