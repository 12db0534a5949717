"""Checks from the λFS client VM, over SSH; they only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aws_setup.aws.cluster import active_cluster
from aws_setup.engine.wording import count_of
from aws_setup.infrastructure.ingress_rules import Source
from aws_setup.namenodes.client import Client
from aws_setup.namenodes.endpoint import Endpoint
from aws_setup.namenodes.http import HttpConnection, TransientError
from aws_setup.namenodes.selection import Selection
from aws_setup.namenodes.tunnel import via_ssh
from aws_setup.openwhisk.secrets import read_secrets
from aws_setup.openwhisk.summary import next_command
from aws_setup.software.clients.desired import LAMBDA_FS
from aws_setup.software.zookeeper import config as zk
from aws_setup.ssh.port_forward import PortState
from aws_setup.verify.chain import CONFIGURE, CREATE, WHISK, Address, Chain
from aws_setup.verify.check import Broken, NotApplicable
from aws_setup.verify.firewall import unreachable

FOLLOWER_PORT = 8000
"""Where a follower of the benchmark waits for the driver's commands (LambdaFS-Benchmarking)."""

SYSTEM = "whisk.system"
"""OpenWhisk's own namespace, in which λFS's published configuration calls the NameNodes."""

PING_SECONDS = 10.0
"""Seconds for the first answer of OpenWhisk's nginx."""

HTTP_SECONDS = 30.0
"""Seconds for one answer of OpenWhisk, and for the retries of a request."""


def check_ssh(chain: Chain) -> str:
    """The λFS client VM runs, and SSH works."""
    chain.pool.check()
    machine = chain.client
    machine.connect()
    if machine.banner:
        chain.said.append(f"{machine.name} says at login: {machine.banner}")
    return str(machine)


def check_settings(chain: Chain) -> str:
    """The client's files say what this deployment is; unless the user configures them."""
    settings = chain.settings
    endpoint, deployments = settings.endpoint, settings.deployments
    wrong = chain.differences() if chain.ctx.config.configure_clients else []
    if wrong:
        name, has, wants = wrong[0]
        others = [other for other, _, _ in wrong[1:]]
        more = f" (also {', '.join(others)})" if others else ""
        raise Broken(f"{name} is {has}, this deployment's is {wants}{more}", CONFIGURE)
    read = chain.benchmark_site
    other = read not in (None, LAMBDA_FS.site)
    unread = f"; the benchmark reads {read or 'no file'}, which is not checked" if other else ""
    return f"{count_of(deployments, 'deployment')} at {endpoint.url}{unread}"


def check_zookeeper(chain: Chain) -> str:
    """A quorum of the client's ZooKeeper servers serves."""
    addresses = chain.settings.zookeepers
    failures, serving = [], 0
    for address in addresses:
        state = chain.client.port_state(address.host, address.port)
        if state is not PortState.OPEN:
            failures.append(unreachable(chain.ctx, address, state, source=Source.SELF))
            continue
        answer = chain.client.query_port(address.port, b"srvr", host=address.host)
        role = zk.parse_role(answer)
        if role is None or not role.mode:
            cause = f"{address} answers, but does not serve: its ensemble has no quorum"
            failures.append(Broken(cause, CREATE))
        else:
            serving += 1
    if serving <= len(addresses) // 2:
        raise failures[0] if failures else Broken("no ZooKeeper server is configured", CONFIGURE)
    return f"{serving} of {count_of(len(addresses), 'server serves', 'servers serve')}"


def check_manager(chain: Chain) -> str:
    """The NDB management server accepts connections."""
    return _connect(chain, chain.settings.manager)


def check_mysqld(chain: Chain) -> str:
    """Mysqld accepts connections."""
    return _connect(chain, chain.settings.mysqld)


def _connect(chain: Chain, address: Address) -> str:
    state = chain.client.port_state(address.host, address.port)
    if state is not PortState.OPEN:
        raise unreachable(chain.ctx, address, state, source=Source.SELF)
    return f"{address} accepts connections"


def check_followers(chain: Chain) -> str:
    """The client reaches the benchmark's followers, which are λFS clients as it is.

    A follower listens only while a benchmark runs: a refused connection shows that packets arrive.
    """
    if not chain.followers:
        raise NotApplicable("there are no followers: no λFS client of an auto-scaling group runs")
    addresses = [Address(machine.private_ip, FOLLOWER_PORT) for machine in chain.followers]
    for address in addresses:
        state = chain.client.port_state(address.host, address.port)
        if state not in (PortState.OPEN, PortState.REFUSED):
            raise unreachable(chain.ctx, address, state, source=Source.SELF)
    return ", ".join(map(str, addresses))


def check_endpoint(chain: Chain) -> str:
    """OpenWhisk answers HTTP at the client's `serverless.endpoint`."""
    endpoint = chain.settings.endpoint
    address = endpoint.address
    state = chain.client.port_state(address.host, address.port)
    if state is PortState.TIMED_OUT:
        cause = f"{address} times out from the client"
        raise Broken(cause, _way_in(chain, endpoint.url))
    if state is not PortState.OPEN:
        cause = f"{address} refuses connections, or its name does not resolve"
        raise Broken(cause, CONFIGURE)
    access = Endpoint(endpoint.url, ":", insecure=True)
    with connection(chain, access, read_seconds=PING_SECONDS) as http:
        status = _ping(http)
    if status != 200:
        raise Broken(f"{endpoint.url}/ping answers HTTP {status}", CONFIGURE)
    return f"{endpoint.url} answers"


def _way_in(chain: Chain, url: str) -> str:
    """Return the fix of an endpoint that drops the client's packets."""
    if chain.credentials and chain.credentials.inside != url:
        return f"{CONFIGURE}: clients use the internal load balancer, {chain.credentials.inside}"
    return "allow the client in the internal load balancer's security group and network ACLs"


def _ping(http: HttpConnection) -> int:
    try:
        return http.send("GET", "/ping", signed=False).status
    except TransientError as error:
        fix = f"{CONFIGURE} status, which says what of OpenWhisk is not ready"
        raise Broken(f"no HTTP answer: {error}", fix) from error


def check_registered(chain: Chain) -> str:
    """OpenWhisk has the actions that the client calls, in the namespace that it names."""
    endpoint, number = chain.settings.endpoint, chain.settings.deployments
    with connection(chain, signed_endpoint(chain)) as http:
        client = Client(http, chain.clock, HTTP_SECONDS)
        listed = client.listing()
        deployed = chain.record.namespace
        if deployed == endpoint.namespace != client.namespace():
            raise NotApplicable(f"the key of the namespace {deployed} is not on this computer")
    existing = {str(item["name"]): str(item.get("namespace", "")) for item in listed}
    names = Selection(endpoint.prefix, 0, number).names
    missing = [name for name in names if name not in existing]
    if missing:
        shown = missing[0] if len(missing) == 1 else f"{missing[0]} to {missing[-1]}"
        absent = count_of(
            number,
            "NameNode does not exist in OpenWhisk's namespace",
            "NameNodes do not exist in OpenWhisk's namespace",
        )
        cause = f"{len(missing)} of {absent} {endpoint.namespace} ({shown})"
        fix = f"run {next_command(chain.ctx.config)}"  # what configure_eks_cluster.py says, too
        raise Broken(cause, fix if len(missing) == number else WHISK.replace("NUMBER", str(number)))
    namespaces = {existing[name].partition("/")[0] for name in names}
    if namespaces != {endpoint.namespace}:
        cause = f"the NameNodes are in {', '.join(sorted(namespaces))}, not {endpoint.namespace}"
        raise Broken(cause, CONFIGURE)
    by_name = {str(item["name"]): item for item in listed}
    chain.actions[:] = [by_name[name] for name in names]
    return f"{count_of(number, 'NameNode')} in {endpoint.namespace}"


def signed_endpoint(chain: Chain) -> Endpoint:
    """Return OpenWhisk's internal API host with the key of the client's namespace.

    Raises:
        NotApplicable: the key is not on this computer, or would be sent to an unknown server.
    """
    credentials = chain.credentials
    if credentials is None:
        raise NotApplicable("OpenWhisk's key is not on this computer")
    secure = credentials.inside.lower().startswith("https:")
    if secure and not credentials.fingerprint:
        raise NotApplicable("the load balancer's certificate is not pinned, so no key is sent")
    system = chain.settings.endpoint.namespace == SYSTEM
    auth = _system_key(chain) if system else credentials.auth
    return Endpoint(credentials.inside, auth, "the client", fingerprint=credentials.fingerprint)


def _system_key(chain: Chain) -> str:
    """Return the key of whisk.system, which only the cluster stores."""
    keys = read_secrets(chain.ctx) if active_cluster(chain.ctx) else None
    if keys is None:
        raise NotApplicable(f"the cluster does not store the key of the namespace {SYSTEM}")
    return keys.system


@contextmanager
def connection(
    chain: Chain, endpoint: Endpoint, *, width: int = 1, read_seconds: float = HTTP_SECONDS
) -> Iterator[HttpConnection]:
    """Yield an HTTP connection to an API host, opened by the client VM.

    With `insecure` any certificate is taken, as λFS's clients do.
    """
    with via_ssh(chain.client, endpoint) as reached:
        http = HttpConnection(reached, width=width, read_seconds=read_seconds)
        try:
            yield http
        finally:
            http.close()
