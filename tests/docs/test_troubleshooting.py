"""docs/troubleshooting.md lists messages as the scripts print them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")

API = {"config_aws.yaml:12:20: …", "VcpuLimitExceeded", "eks cluster … FAILED"}
"""A place in a file, and messages whose text comes from AWS."""


def messages() -> list[str]:
    """Return the first column of every table."""
    cells = re.findall(r"^\| `([^`]+)`", TEXT, re.MULTILINE)
    return [cell for cell in cells if cell not in API]


@cache
def texts() -> frozenset[str]:
    """Return the texts in the product's sources; `…` replaces what is filled in."""
    product = ROOT / "aws_setup"
    files = [path for path in product.rglob("*.py") if "rehearsal" not in path.parts]
    return frozenset(text for file in files for text in _texts(file.read_text(encoding="utf-8")))


def _texts(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", "…", node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield "".join(map(str, parts))


@pytest.mark.parametrize("message", messages())
def test_the_product_prints_this_message(message: str) -> None:
    pieces = [piece.strip() for piece in message.split("…") if piece.strip()]
    assert pieces
    assert any(all(piece in text for piece in pieces) for text in texts()), message


def test_each_table_has_message_cause_and_fix() -> None:
    headings = re.findall(r"^\| .* \|\n\|---", TEXT, re.MULTILINE)
    assert headings
    assert set(headings) == {"| message | cause | fix |\n|---"}
