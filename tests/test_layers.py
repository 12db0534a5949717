"""The layers of aws_setup/__init__.py, one adapter for each library, and an independent engine."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aws_setup"
REHEARSAL = PACKAGE / "rehearsal"

LAYERS = (
    "cli",
    "report",
    "tables",
    "lockfile",
    "pause",
    "verify",
    "preflight",
    "namenodes",
    "openwhisk",
    "eks",
    "software",
    "infrastructure",
    "ssh",
    "kube",
    "aws",
    "engine",
    "config",
    "errors",
)
"""From the top down: a module imports from its own package or from a lower one."""

ADAPTERS = {
    "boto3": {"aws/session.py"},
    "paramiko": {"ssh/"},
    "kubernetes": {"kube/"},
    "click": {"cli/"},
    "rich": {"report/"},
    "jinja2": {"report/"},
    "subprocess": {
        "aws/credential_process.py",
        "openwhisk/local_program.py",
        "ssh/proxy_command.py",
    },
}
"""Library -> the only places of the product that import it."""

OUTSIDE_NAMES = re.compile(
    r"\b(aws(?!_setup)|amazon|ec2|eks|iam|vpc|nat|subnet|boto3?|botocore|arn|s3|ami|kube\w*|kubectl|helm|pod"
    r"|openwhisk|wsk|whisk|namenode|zookeeper|ndb|hdfs)\b",
    re.IGNORECASE,
)
"""What the engine does not know: it would serve any other set of resources as well."""


def modules(folder: Path) -> Iterator[Path]:
    """Yield every module of the product or, given its folder, of the rehearsal cloud."""
    for path in sorted(folder.rglob("*.py")):
        if folder == REHEARSAL or "rehearsal" not in path.relative_to(PACKAGE).parts:
            yield path


def names(path: Path, folder: Path) -> str:
    """Return a module as a test's name."""
    return path.relative_to(folder).as_posix()


PRODUCT = [pytest.param(path, id=names(path, PACKAGE)) for path in modules(PACKAGE)]


@dataclass(frozen=True)
class Source:
    """What the tests need of a module: its syntax tree is kept by none of them."""

    imports: tuple[str, ...]
    """The dotted names that it imports, also within functions and for types only."""
    calls: frozenset[str]
    functions: tuple[tuple[str, int, int], ...]
    """The name, first line and number of lines of each function."""
    classes: tuple[str, ...]


@functools.cache
def source(path: Path) -> Source:
    """Parse a module, once."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    return Source(
        tuple(name for node in nodes for name in imported_by(node)),
        frozenset(ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)),
        tuple(
            (node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1)
            for node in nodes
            if isinstance(node, ast.FunctionDef)
        ),
        tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
    )


def imported_by(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_packages(path: Path, parent: str) -> set[str]:
    """Return the packages and modules right below `parent` that a module imports."""
    below = (
        name.removeprefix(f"{parent}.") for name in source(path).imports if name.startswith(parent)
    )
    tops = {name.split(".")[0] for name in below}
    folder = ROOT / parent.replace(".", "/")
    return {top for top in tops if (folder / top).is_dir() or (folder / f"{top}.py").is_file()}


def package_of(path: Path, folder: Path) -> str:
    """Return a module's package; `python -m aws_setup` is a part of cli."""
    own = path.relative_to(folder).parts[0].removesuffix(".py")
    return "cli" if own == "__main__" and folder == PACKAGE else own


def package_graph(folder: Path, parent: str) -> Mapping[str, set[str]]:
    """Return package -> the packages beside it that it imports."""
    graph: dict[str, set[str]] = defaultdict(set)
    for path in modules(folder):
        own = package_of(path, folder)
        if own not in ("__init__", "rehearsal"):
            graph[own] |= imported_packages(path, parent) - {own}
    return graph


def test_every_package_is_in_a_layer() -> None:
    assert set(package_graph(PACKAGE, "aws_setup")) == set(LAYERS)


@pytest.mark.parametrize(
    ("folder", "parent"), [(PACKAGE, "aws_setup"), (REHEARSAL, "aws_setup.rehearsal")]
)
def test_packages_have_no_cycle(folder: Path, parent: str) -> None:
    try:
        TopologicalSorter(package_graph(folder, parent)).prepare()
    except CycleError as error:
        pytest.fail(f"packages import each other in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("path", PRODUCT)
def test_imports_go_down_and_through_the_adapters(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    own = package_of(path, PACKAGE)
    for target in imported_packages(path, "aws_setup") if own != "__init__" else ():
        assert target != "rehearsal", f"{relative} imports the rehearsal cloud"
        allowed = LAYERS[LAYERS.index(own) :]
        assert target in allowed, f"{relative} imports upwards: aws_setup.{target}"
    for library in {name.split(".")[0] for name in source(path).imports} & ADAPTERS.keys():
        adapter = any(relative.as_posix().startswith(place) for place in ADAPTERS[library])
        assert adapter, f"{relative} imports {library}; only {ADAPTERS[library]} may"


LOCKED_IN_PYTHON = re.compile(
    r"(?:(?:threading|queue|futures)\.)?(?:Event|Condition|(?:Bounded)?Semaphore|Barrier|Queue"
    r"|LifoQueue|PriorityQueue|ThreadPoolExecutor|Future)"
)
"""What has a Python-level lock, which a Ctrl-C in the main thread can leave taken."""

HANDING_OVER = {
    "engine/graph.py": "ThreadPoolExecutor",
    "ssh/pool.py": "ThreadPoolExecutor",
    "ssh/sessions.py": "threading.BoundedSemaphore",
    "kube/answers.py": "Future",
}
"""Module -> what it may use all the same: pools to which another thread hands the jobs over, and
what the main thread uses only while no thread of its own does."""


@pytest.mark.parametrize("path", PRODUCT)
def test_nothing_has_a_lock_that_a_ctrl_c_can_leave_taken(path: Path) -> None:
    used = {name for name in source(path).calls if LOCKED_IN_PYTHON.fullmatch(name)}
    allowed = {HANDING_OVER.get(path.relative_to(PACKAGE).as_posix(), "")}
    assert used <= allowed, "use engine/flag.py, engine/reads.py or engine/handing_over.py"


@pytest.mark.parametrize("path", PRODUCT)
def test_only_wait_sleeps_and_only_report_prints(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    calls = source(path).calls
    assert "time.sleep" not in calls or relative == "engine/wait.py", f"{relative} sleeps"
    assert "print" not in calls or relative.startswith("report/"), f"{relative} prints"


FILE_CALLS = re.compile(r"\.(read_bytes|read_text|write_bytes|write_text|unlink)$")
"""What reads, writes or deletes a file whatever is in its place: a pipe there blocks the run."""

FILE_PLACES = {
    "engine/local_files.py": {"unlink"},
    "engine/private_files.py": {"unlink"},
    "engine/temporary_files.py": {"unlink", "write_bytes"},
    "engine/processes.py": {"read_text"},  # of the kernel
    "cli/installed.py": {"read_text"},  # the project's own
    "report/page.py": {"read_text", "unlink"},  # the project's own, and a temporary one
    "openwhisk/namenode_image.py": {"write_text"},  # in a new folder
}
"""The only modules that may: all others use config/regular_files.py and engine/private_files.py."""


@pytest.mark.parametrize("path", PRODUCT)
def test_files_are_read_written_and_deleted_by_what_looks_at_them_first(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    found = {match[1] for call in source(path).calls if (match := FILE_CALLS.search(call))}
    assert found <= FILE_PLACES.get(relative, set()), f"{relative}: {found}"


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.name) for path in sorted((PACKAGE / "engine").glob("*.py"))]
)
def test_the_engine_knows_no_resource(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if OUTSIDE_NAMES.search(line)]
    assert not found, f"engine/{path.name} names what it must not know: {found}"


def test_the_core_of_the_rehearsal_knows_no_service() -> None:
    for path in modules(REHEARSAL / "core"):
        imported = imported_packages(path, "aws_setup.rehearsal")
        assert imported <= {"core"}, f"core/{path.name} imports {imported}"


def public_classes() -> Iterator[tuple[str, str]]:
    """Yield the name and the module of every public class of the product."""
    for path in modules(PACKAGE):
        for name in source(path).classes:
            if not name.startswith("_"):
                yield name, names(path, PACKAGE)


def test_no_public_class_name_occurs_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name, module in public_classes():
        places[name].append(module)
    assert not {name: found for name, found in places.items() if len(found) > 1}


@pytest.mark.parametrize("path", [*modules(PACKAGE), *modules(REHEARSAL)], ids=lambda p: p.stem)
def test_modules_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 350, f"{path} is longer than 350 lines"
    for name, line, lines in source(path).functions:
        assert lines <= 60, f"{path}:{line} {name} has {lines} lines"


def test_the_map_names_every_package_from_the_lowest_to_the_highest() -> None:
    text = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    found = [text.find(f"\n{name} ") for name in reversed(LAYERS)]
    assert -1 not in found, "aws_setup/__init__.py misses a package, or one of its lines"
    assert all(one < next_one for one, next_one in pairwise(found))
