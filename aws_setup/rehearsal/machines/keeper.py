"""Keeps a machine behind every emulated VM: what EC2 starts, stops and terminates, it does too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.ec2.console import Consoles
from aws_setup.rehearsal.machines import software
from aws_setup.rehearsal.machines.room import Lay, Room
from aws_setup.rehearsal.software import laying

PAUSE = 0.1
"""Seconds between two looks at the cloud."""

AMIS: Mapping[str, tuple[Lay, ...]] = MappingProxyType(
    {
        "ami-0700bf4465e5fd16d": (software.zookeeper,),
        "ami-0ef872c16032b2aeb": (laying.ndb_manager,),
        "ami-02b05337b4142f447": (laying.ndb_data_node,),
        "ami-0a3d55fdd1fe9a6b8": (laying.ndb_data_node,),
        "ami-079ac4c46055b2bdf": (laying.client,),
        "ami-093cb0299f0b291e6": (laying.client,),
    }
)
"""What each AMI holds; machines of other AMIs have accounts, sudo and sshd only."""


class Keeper:
    """Follows one cloud's instances with the machines of a room."""

    def __init__(
        self, cloud: Cloud, room: Room, *, amis: Mapping[str, tuple[Lay, ...]] = AMIS
    ) -> None:
        self.cloud, self.room, self.amis = cloud, room, amis
        self._on: dict[str, bool] = {}
        cloud.room(Consoles).read = self._console

    def sync(self) -> None:
        """Bring the room to what the cloud says now; machines change in parallel."""
        with self.cloud.lock:
            work = [job for job in map(self._job, self._instances()) if job]
        if work:
            with ThreadPoolExecutor(len(work)) as pool:
                for done in [pool.submit(job) for job in work]:
                    done.result()

    def _instances(self) -> list[tuple[str, str, str, str, str]]:
        every = self.cloud.backend("ec2").all_instances()
        return [
            (one.id, one.state, one.private_ip, one.public_ip or "", one.image_id)
            for one in list(every)
        ]

    def _job(self, seen: tuple[str, str, str, str, str]) -> Callable[[], object] | None:
        """Return what has to be done about one instance, and note it as done."""
        own, state, private, public, image = seen
        on = self._on.get(own)
        if state == "running" and on is None:
            self._on[own] = True
            lay = self.amis.get(image, ())
            return lambda: self.room.launch(own, private_ip=private, public_ip=public, lay=lay)
        if state == "running" and not on:
            self._on[own] = True
            return lambda: self.room.power_on(own, public_ip=public)
        if state in ("stopping", "stopped") and on:
            self._on[own] = False
            return lambda: self.room.power_off(own)
        if state == "terminated" and on is not None:
            del self._on[own]
            return lambda: self.room.discard(own)
        return None

    def _console(self, instance_id: str) -> str:
        return self.room.console(instance_id) if self._on.get(instance_id) else ""


@contextmanager
def keeping(cloud: Cloud, room: Room) -> Iterator[Keeper]:
    """Follow the cloud in the background until the block ends."""
    keeper, stopped = Keeper(cloud, room), threading.Event()

    def follow() -> None:
        while not stopped.wait(PAUSE):
            keeper.sync()

    thread = threading.Thread(target=follow, name="machines", daemon=True)
    thread.start()
    try:
        yield keeper
    finally:
        stopped.set()
        thread.join()
