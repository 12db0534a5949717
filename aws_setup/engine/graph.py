"""Runs a graph of named jobs in parallel: a job starts when all that it needs has ended well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

from aws_setup.errors import Interrupted

WORKERS = 32
"""Jobs that run at the same time; waiting for AWS costs a thread and nothing else."""


def run_graph(
    needs: Mapping[str, Set[str]], work: Callable[[str], bool], *, stop: Callable[[], None]
) -> list[str]:
    """Call `work` for every name, in parallel, each after all the names that it needs.

    Args:
        needs: name -> the names that must have ended well before it.
        work: does the job; False means that what needs it must not start.
        stop: called at Ctrl-C, to wake jobs that sleep; running jobs are then waited for.

    Returns:
        the names that never started because something that they need failed.

    Raises:
        Interrupted: Ctrl-C was pressed; every running job has ended.
        ValueError: a cycle, or a need that is not in the graph.
    """
    unknown = {need for wants in needs.values() for need in wants} - needs.keys()
    if unknown:
        raise ValueError(f"needed but not in the graph: {sorted(unknown)}")
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    started: set[str] = set()
    running: dict[Future[bool], str] = {}
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="step") as pool:
        try:
            _drive(sorter, pool, work, started=started, running=running)
        except KeyboardInterrupt:
            stop()
            wait(running)
            raise Interrupted from None
    return [name for name in needs if name not in started]


def _drive(
    sorter: TopologicalSorter[str],
    pool: ThreadPoolExecutor,
    work: Callable[[str], bool],
    *,
    started: set[str],
    running: dict[Future[bool], str],
) -> None:
    while True:
        for name in sorter.get_ready():
            started.add(name)
            running[pool.submit(work, name)] = name
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            name = running.pop(future)
            if future.result():
                sorter.done(name)


def transitive_reduction(needs: Mapping[str, Set[str]]) -> dict[str, list[str]]:
    """Return the needs without those that others of the same name bring along, sorted.

    `needs` must be whole: what a need needs is among them too.
    """
    return {
        name: sorted(one for one in wants if not any(one in needs[other] for other in wants))
        for name, wants in needs.items()
    }
