"""What the API server has answered while steps are examined: each question is asked once."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_setup.aws.context import Context
    from aws_setup.kube.objects import Json


class Answers:
    """Answers by the path that was asked for; safe to use from many threads.

    While steps are examined nothing is written and nothing waited for, so that an answer holds for
    all of them; a write ends that. Of the objects in the namespace `listed` many are read: one of
    them is looked up in the list of its kind.
    """

    def __init__(self, listed: str) -> None:
        self.listed = listed
        self._lock = threading.Lock()
        self._known: dict[str, Future[Json]] = {}

    def of(self, path: str, ask: Callable[[], Json]) -> Json:
        """Return what the server answers to a path, asked once.

        Who waits for an answer gets its error, too; who comes later asks again.
        """
        with self._lock:
            known, answer = self._known, self._known.get(path)
            mine = answer is None
            answer = known.setdefault(path, answer or Future())
        if mine:
            try:
                answer.set_result(ask())
            except BaseException as error:
                with self._lock:
                    del known[path]
                answer.set_exception(error)
                raise
        return copy.deepcopy(answer.result())

    def forget(self) -> None:
        """Ask for everything again: something is about to change."""
        with self._lock:
            self._known = {}


@contextmanager
def each_asked_once(ctx: Context) -> Iterator[None]:
    """Let the steps that are examined meanwhile share the answers of the API server."""
    ctx.aws.shared[Answers] = Answers(ctx.config.openwhisk_namespace)
    try:
        yield
    finally:
        ctx.aws.shared.pop(Answers, None)
