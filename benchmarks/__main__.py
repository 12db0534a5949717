"""Every figure of the documents, one benchmark after the other.

    python -m benchmarks [--runs 5] [--write] [--only NAME ...]

Each benchmark is a module that also runs alone. The two sides of a ratio run in turn, so that a
busy computer changes seconds more than ratios; calls and the makespans do not depend on it.
`peers` installs 780 MB of other tools and runs only if --only names it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.processes import ROOT, command_line

BENCHMARKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "work": ("benchmarks.work", "--runs", "{runs}", "{write}"),
        "makespan": ("benchmarks.makespan", "{write}"),
        "scale": ("benchmarks.scale", "--runs", "{runs}", "{write}"),
        "setting-up": ("benchmarks.setting_up", "--runs", "{runs}", "{write}"),
        "machines": ("benchmarks.ssh_scale", "--runs", "{runs}", "{write}"),
        "namenodes": ("benchmarks.whisk", "--runs", "{runs}", "{write}"),
        "peers": ("benchmarks.peers", "--runs", "{runs}", "{write}"),
    }
)
"""Name -> module and arguments."""
OPT_IN = frozenset({"peers"})
"""What runs only if it is named."""


def command(name: str, *, runs: int, write: bool) -> list[str]:
    """Return the command of a benchmark."""
    given = {"runs": str(runs), "write": "--write" if write else ""}
    filled = [part.format_map(given) for part in BENCHMARKS[name]]
    return [sys.executable, "-m", *filter(None, filled)]


def main() -> None:
    """Run the benchmarks; the exit code is 1 if one failed."""
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--write", action="store_true", help="update the documents")
    usual = [name for name in BENCHMARKS if name not in OPT_IN]
    parser.add_argument(
        "--only",
        nargs="+",
        choices=BENCHMARKS,
        default=usual,
        metavar="NAME",
        help=f"some of {', '.join(BENCHMARKS)}",
    )
    options = parser.parse_args()
    failed = []
    for name in options.only:
        print(f"\n{name}\n{'-' * len(name)}", flush=True)
        arguments = command(name, runs=options.runs, write=options.write)
        if subprocess.run(arguments, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
