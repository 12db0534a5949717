"""A computer that sleeps for an hour while a run waits for the cluster, in virtual time.

The monotonic clock counts the sleep here, as that of Windows does, and the run lock expires.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import create_aws_infrastructure
from aws_setup.aws import run_lock, run_lock_store
from aws_setup.rehearsal.aws.parameters import Parameters
from tests.support.kube import tool
from tests.support.scripts import Ended
from tests.support.virtual_kills import passing
from tests.support.virtual_time import VirtualWorld, virtual_world

HOUR = 3600.0


def create(world: VirtualWorld, monkeypatch: pytest.MonkeyPatch, meanwhile: Any) -> Ended:
    """Run a create which sleeps for an hour while the cluster is CREATING."""
    began = world.time.now()
    slept: list[bool] = []

    def sleep() -> None:
        if not slept and world.time.now() > began + 300:
            assert "cluster CREATING" in passing(world)
            slept.append(True)
            world.time.advance(HOUR)
            for parameter in world.cloud.store_of(Parameters).values():
                parameter.modified -= timedelta(seconds=HOUR)
            meanwhile()

    def now() -> tuple[float, float]:
        hours = HOUR if slept else 0.0
        return time.monotonic() + hours, time.time() + hours

    monkeypatch.setattr(run_lock, "_now", now)
    with world.disturbed(sleep):
        ended = world.attempt(create_aws_infrastructure, "create")
    assert slept
    return ended


def take_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what another computer does with a lock that has expired: it takes the lock."""
    stores: list[tuple[run_lock_store.LockStore, run_lock_store.LockHolder]] = []
    plain = run_lock_store.LockStore.create

    def noting(self: Any, number: int, holder: run_lock_store.LockHolder) -> bool:
        stores.append((self, holder))
        return plain(self, number, holder)

    monkeypatch.setattr(run_lock_store.LockStore, "create", noting)

    def take() -> None:
        store, holder = stores[0]
        process = replace(holder.process, computer="another computer")
        other = replace(holder, run="0" * 16, owner="someone@elsewhere", process=process)
        assert plain(store, store.read().numbers[-1] + 1, other)

    return take


def test_a_run_that_slept_for_an_hour_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        ended = create(world, monkeypatch, lambda: None)
        assert ended.exit_code == 0, ended.stdout + ended.stderr
        assert not passing(world)


def test_a_run_whose_lock_was_taken_while_it_slept_writes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    with virtual_world(tmp_path / "laptop", monkeypatch.setattr, helm=tool("helm")) as world:
        take = take_over(monkeypatch)

        def meanwhile() -> None:
            take()
            writes.append(len(world.cloud.calls.writes()))

        ended = create(world, monkeypatch, meanwhile)
        assert ended.exit_code == 1, ended.stdout + ended.stderr
        assert "someone@elsewhere" in ended.stdout
        assert "run the same command again" in ended.stdout
        assert len(world.cloud.calls.writes()) == writes[0]
