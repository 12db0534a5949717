"""Programs that stay in the background of a real machine, whatever they inherit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.software.daemons import start_daemon
from aws_setup.software.zookeeper import config as zk
from aws_setup.software.zookeeper.servers import MemberSpec, start
from aws_setup.ssh.errors import RemoteError
from tests.support.machines import VmEnvironment, needs_machines, vm_environment

pytestmark = needs_machines

PROGRAM = "/usr/local/bin/start it"

LEAVES_STDERR_OPEN = """\
#!/bin/sh
cat
echo "started with $*"
sleep 600 > /dev/null &
echo "$!" > /var/log/daemon.pid
"""

FAILS = "#!/bin/sh\necho first\necho second >&2\nexit 7\n"

RUNS_ALREADY = """\
#!/bin/sh
echo "Using config: zoo.cfg" >&2
echo "Starting zookeeper ... already running as process 1."
exit 1
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[VmEnvironment]:
    with vm_environment(tmp_path) as made:
        made.launch(1)
        yield made


def left_in_run(made: VmEnvironment) -> str:
    return made.machine().run("ls /run | grep lambda-fs || true").stdout


def test_a_start_ends_although_the_daemon_keeps_its_stderr(machine: VmEnvironment) -> None:
    machine.vm_pool.disk("i-0").executable(PROGRAM, LEAVES_STDERR_OPEN)
    began = time.monotonic()
    result = start_daemon(machine.machine(), [PROGRAM, "a  b", "$c"], timeout=30)
    assert time.monotonic() - began < 20
    assert result.stderr == "started with a  b $c\n"
    assert machine.machine().run('kill -0 "$(cat /var/log/daemon.pid)"').code == 0
    assert left_in_run(machine) == ""


def test_a_start_that_fails_says_what_it_printed_in_its_order(machine: VmEnvironment) -> None:
    machine.vm_pool.disk("i-0").executable(PROGRAM, FAILS)
    with pytest.raises(RemoteError, match=r"start it.*exit code 7: first \| second"):
        start_daemon(machine.machine(), [PROGRAM])
    assert left_in_run(machine) == ""


def test_a_zookeeper_that_runs_already_is_no_error(machine: VmEnvironment) -> None:
    """zkServer.sh says so on stdout, and something else on stderr."""
    machine.vm_pool.disk("i-0").executable(zk.SERVER, RUNS_ALREADY)
    start(MemberSpec(machine.machine(), {}))
