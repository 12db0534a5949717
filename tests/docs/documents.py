"""The commands of README.md and docs/*.md, read as a shell reads them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^( *)```(?:sh|bash|console)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    [^ \n].*\n)+", re.MULTILINE)
_FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`((?:python )?[a-z_]+\.py(?: [^`]*)?|python -m [^`]*)`")

SCRIPTS = ("create_aws_infrastructure.py", "configure_eks_cluster.py", "whisk_helper.py")


@dataclass(frozen=True)
class Command:
    """One command of a document, in its words; `output` is the file that its output goes to."""

    document: str
    words: tuple[str, ...]
    output: str = ""

    @property
    def program(self) -> str:
        """The program: a script or module of this project without `python`, else the first word."""
        if self.words[:2] in (("python", "-m"), (".venv/bin/python", "-m")):
            return self.words[2]
        if self.words[0] in ("python", "pytest") and len(self.words) > 1:
            return self.words[1] if self.words[0] == "python" else "pytest"
        return self.words[0]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after the program."""
        return self.words[self.words.index(self.program) + 1 :]

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"


def commands(document: Path) -> Iterator[Command]:
    """Yield the commands of a document's shell blocks and of its indented blocks, in order."""
    text = document.read_text(encoding="utf-8")
    for block in blocks(text):
        if block.startswith("shell=bash"):
            continue  # tests/cli/test_completion.py runs it in a bash.
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split(" && "):
                words = shlex.split(part, comments=True)
                if words:
                    yield _command(document.name, words)


def blocks(text: str) -> list[str]:
    """Return the shell blocks of a text, without the indentation of a list."""
    found = [
        (match.start(), re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE))
        for match in _BLOCK.finditer(text)
    ]
    plain = _FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
    assert not [block for block in _INDENTED.findall(plain) if "python" in block], (
        "commands belong into a block with ```sh"
    )
    return [block for _, block in sorted(found)]


def spans(document: Path) -> Iterator[Command]:
    """Yield the commands of the project that a document names in its sentences and tables."""
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    for match in _SPAN.finditer(text):
        words = shlex.split(match[1].replace("\\|", "|"))
        command = _command(document.name, words)
        if command.program in SCRIPTS or words[:2] == ["python", "-m"]:
            yield command


def _command(document: str, words: list[str]) -> Command:
    if ">" in words:
        at = words.index(">")
        return Command(document, tuple(words[:at]), words[at + 1])
    return Command(document, tuple(words))
