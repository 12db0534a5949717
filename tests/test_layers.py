"""The layers of aws_setup/__init__.py, and one door for each outside thing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aws_setup"

LAYERS = (
    ("cli",),
    ("whisk_setup",),
    ("whisk_looks",),
    ("commands", "whisk_commands"),
    ("keeping", "debuglog"),
    ("report", "preflight"),
    ("leftovers", "picture"),
    ("result", "summary", "events"),
    ("runner",),
    ("plan",),
    ("resources", "hosts", "cluster", "whisk"),
    ("pricing",),
    ("steps", "graph", "receipt"),
    ("inventory",),
    ("consistency",),
    ("aws_errors", "session", "waiting"),
    ("config",),
    ("errors",),
)
"""From the top down: a module imports from its own row or from a lower one."""

DOORS = {
    "boto3": {"session.py"},
    "paramiko": {"hosts/ssh/"},
    "kubernetes": {"cluster/kube.py"},
    "click": {"cli.py"},
    "rich": {"report/"},
    "jinja2": {"report/"},
    "subprocess": {"cluster/helm.py"},
}
"""Outside module -> the only places that import it."""


def modules() -> Iterator[Path]:
    """Yield every module of the product; the rehearsal cloud is not part of it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "rehearsal" not in path.relative_to(PACKAGE).parts:
            yield path


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports, at its top or within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def row(name: str) -> int:
    """Return how low a module stands; one that is in no row fails the test that asks."""
    for index, names in enumerate(LAYERS):
        if name in names:
            return index
    pytest.fail(f"aws_setup/{name} is in no layer: add it to LAYERS where it belongs")


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_and_through_the_doors(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(".py")
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "aws_setup" and rest and own != "__init__":
            target = rest.split(".")[0]
            assert target != "rehearsal", f"{relative} reaches into the rehearsal cloud"
            known = (PACKAGE / target).exists() or (PACKAGE / f"{target}.py").exists()
            assert not known or row(target) >= row(own), f"{relative} imports upwards: {name}"
        if top in DOORS:
            door = any(relative.as_posix().startswith(place) for place in DOORS[top])
            assert door, f"{relative} imports {top}; only {DOORS[top]} may"


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_waiting_sleeps_and_only_report_prints(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "time.sleep" or relative == "waiting.py", f"{relative} sleeps"
            assert called != "print" or relative.startswith("report/"), f"{relative} prints"
