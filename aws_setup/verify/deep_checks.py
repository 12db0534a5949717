"""Checks by a pod on an invoker node: it connects to what NameNodes connect to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.ingress_rules import NDB_DATA_NODES, Source
from aws_setup.software.clients.desired import TCP_ENABLED
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.chain import DATA_NODES, Address, Chain
from aws_setup.verify.check import NotApplicable
from aws_setup.verify.cluster_checks import require_namespace
from aws_setup.verify.firewall import unreachable
from aws_setup.verify.pod_probe import probe_from_pod

MOST_FOLLOWERS = 10
"""Followers to which the pod connects; the machines of a group have the same security groups."""


def targets(chain: Chain) -> Mapping[str, Sequence[Address]]:
    """Return what NameNodes connect to: what it is -> addresses."""
    settings = chain.settings
    data_nodes = [machine.private_ip for machine in chain.machines(*DATA_NODES)]
    return {
        "NDB manager": [settings.manager],
        "NDB data nodes": [Address(host, NDB_DATA_NODES.first) for host in data_nodes],
        "mysqld": [settings.mysqld],
        "ZooKeeper": settings.zookeepers,
        "client": callbacks(chain),
    }


def callbacks(chain: Chain) -> Sequence[Address]:
    """Return where the λFS clients accept NameNodes: the client VM, and the first followers."""
    port = chain.settings.callback_port
    machines = [chain.client, *chain.followers[:MOST_FOLLOWERS]]
    return [] if port is None else [Address(machine.private_ip, port) for machine in machines]


def check_pod(chain: Chain) -> str:
    """A pod runs on an invoker node, and tries every address that NameNodes connect to."""
    require_namespace(chain)
    addresses = [address for found in targets(chain).values() for address in found]
    chain.probed.update(probe_from_pod(chain.ctx, addresses))
    return f"a pod on an invoker node has tried {count_of(len(addresses), 'address', 'addresses')}"


def check_from_node(chain: Chain, name: str) -> str:
    """The pod has reached the addresses of one kind.

    At the client's port a program listens only while λFS is used: a refused connection shows that
    packets arrive.
    """
    addresses = targets(chain)[name]
    if not addresses:
        if name == "client":
            raise NotApplicable(f"{TCP_ENABLED} is false: NameNodes answer by HTTP only")
        raise NotApplicable(f"there are no {name}")
    for address in addresses:
        state = chain.probed[address]
        if state is PortState.OPEN or (name == "client" and state is PortState.REFUSED):
            continue
        raise unreachable(chain.ctx, address, state, source=Source.NODES)
    return ", ".join(map(str, addresses))


from_node = {
    name: partial(check_from_node, name=name)
    for name in ("NDB manager", "NDB data nodes", "mysqld", "ZooKeeper", "client")
}
