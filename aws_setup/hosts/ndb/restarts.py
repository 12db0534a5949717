"""Restarts that data nodes still owe to a changed config.ini, kept on the manager until done."""

from __future__ import annotations

from collections.abc import Iterable

from aws_setup.hosts.ndb.cluster import NDB_MGM, Members
from aws_setup.hosts.ndb.documents import MANAGER_DATA
from aws_setup.hosts.ndb.show import NodeState
from aws_setup.steps import Context
from aws_setup.waiting import Pending, wait_until

LIST = f"{MANAGER_DATA}/lambda-fs-restarts"
"""Ids of the data nodes that run with an older config.ini, one a line."""

RESTART = 1800.0
"""Seconds that one data node gets to come back; it reads its data from disk."""


def owe_restarts(members: Members, ids: Iterable[int]) -> None:
    """Write down which data nodes must be restarted; an empty list removes the file."""
    text = "".join(f"{id}\n" for id in sorted(ids))
    if text:
        members.manager.write(LIST, text, sudo=True)
    else:
        members.manager.run(["rm", "-f", LIST], sudo=True, repeatable=True)


def owed_restarts(members: Members) -> list[int]:
    """Return the ids of the data nodes that must be restarted."""
    text = members.manager.read(LIST, sudo=True) or ""
    return [int(line) for line in text.split() if line.isdigit()]


def restart_in_turn(ctx: Context, members: Members) -> None:
    """Restart the data nodes that owe it, one after the other: the cluster stays up throughout."""
    owed = owed_restarts(members)
    while owed:
        node_id = owed.pop(0)
        ctx.note(f"{members.data_nodes[node_id].name} restarts")
        members.manager.run([NDB_MGM, "-e", f"{node_id} restart"], timeout=RESTART)
        _wait_until_started(ctx, members, node_id)
        owe_restarts(members, owed)


def _wait_until_started(ctx: Context, members: Members, node_id: int) -> None:
    def probe() -> bool | Pending:
        shown = members.show()
        state = shown.state(node_id) if shown else NodeState.ABSENT
        return True if state is NodeState.STARTED else Pending(state.value)

    wait_until(
        f"{members.data_nodes[node_id].name} is back after its restart",
        probe,
        clock=ctx.clock,
        deadline=RESTART,
        pause=5,
        note=ctx.note,
        hint=f"look into /usr/local/mysql/data/ndb_{node_id}_error.log on it, then run this again",
    )
