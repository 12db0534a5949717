"""A deployment in which one link is broken on purpose: verify names it first, with its fix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from aws_setup.infrastructure.ingress_rules import (
    CLIENT_TCP,
    MYSQLD,
    NDB_DATA_NODES,
    NDB_MANAGEMENT,
    ZOOKEEPER,
    Ports,
)
from aws_setup.rehearsal.core.settings import Settings
from aws_setup.rehearsal.demo.scenario import ACTIONS
from aws_setup.rehearsal.demo.workspace import Workspace, find_helm
from aws_setup.rehearsal.environment import lacks_mariadb, run_environment
from aws_setup.software.clients import desired
from aws_setup.software.clients.desired import LAMBDA_FS
from aws_setup.software.hadoop_xml import HadoopXml
from tests.support.machines import needs_machines
from tests.verify.breaks import SERVICES, files_from_before, not_formatted
from tests.verify.link_breaks import (
    Break,
    Story,
    balancer_closed,
    edited,
    endpoint,
    network_acl,
    user_locked_out,
    without_rule,
    zookeeper_stopped,
)

QUICK, FULL = ("--quick",), ("--only", "node to client", "--only", "NameNodes answer")
SPEED = 60.0

pytestmark = [
    needs_machines,
    pytest.mark.skipif(lacks_mariadb(), reason="not installed: mariadb-server"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    with run_environment(folder / "machines", Settings(speed=SPEED)) as environment:
        workspace = Workspace(folder, find_helm())
        workspace.prepare(environment)
        deployed = Story(environment, workspace)
        created = deployed.run("create_aws_infrastructure.py", "create", "--yes")
        assert "Next: python configure_eks_cluster.py" in created
        assert "ready" not in created.splitlines()[-1]
        configured = deployed.run("configure_eks_cluster.py", "configure", "--yes")
        assert configured.count("python whisk_helper.py --create") == 1, "the fix is the next step"
        assert "λFS is not ready: NameNode actions: 20 of 20 NameNodes do not exist" in configured
        registered = deployed.run("whisk_helper.py", "--create", *ACTIONS)
        assert registered.splitlines()[-1].startswith("λFS is ready: 20 NameNodes at")
        yield deployed


SHORT_PING = """
from aws_setup.verify import client_checks, cluster_checks
client_checks.PING_SECONDS = cluster_checks.PING_SECONDS = 2.0
"""
"""Before verify: it waits two seconds for an answer that never comes, and not ten, twice."""

NO_RULE = "has no rule for"
CASES: dict[str, tuple[Break, tuple[str, ...], str, str]] = {
    "mysqld rule": (without_rule(MYSQLD), FULL, "node to mysqld", f"{NO_RULE} mysqld (tcp 3306"),
    "manager rule": (without_rule(NDB_MANAGEMENT), FULL, "node to NDB manager", NO_RULE),
    "data node rule": (without_rule(NDB_DATA_NODES), FULL, "node to NDB data nodes", NO_RULE),
    "ZooKeeper rule": (without_rule(ZOOKEEPER), FULL, "node to ZooKeeper", NO_RULE),
    "callback rule": (without_rule(CLIENT_TCP), FULL, "node to client", "tcp 6000-6999 from sg-"),
    "network ACL": (network_acl, FULL, "node to mysqld", "although the security group allows"),
    "wrong password": (user_locked_out, QUICK, "database login", "Access denied for user 'user'"),
    "wrong user": (
        edited(LAMBDA_FS.ndb, desired.USER, "somebody"),
        QUICK,
        "client configuration",
        f"{desired.USER} is somebody, this deployment's is user",
    ),
    "wrong database": (
        edited(LAMBDA_FS.ndb, desired.DATABASE, "other"),
        QUICK,
        "client configuration",
        f"{desired.DATABASE} is other, this deployment's is vanilla_hopsfs",
    ),
    "other deployment": (
        endpoint("127.0.0.2", "a0.us-east-1.elb.amazonaws.com"),
        QUICK,
        "client configuration",
        f"{desired.ENDPOINT} is https://a0.us-east-1.elb.amazonaws.com",
    ),
    "wrong namespace": (
        endpoint("/guest/", "/whisk.system/"),
        QUICK,
        "client configuration",
        "/web/guest/default/namenode",
    ),
    "other number": (
        edited(LAMBDA_FS.site, desired.DEPLOYMENTS_MAX, "37"),
        QUICK,
        "client configuration",
        f"{desired.DEPLOYMENTS_MAX} is 37, this deployment's is 20",
    ),
    "load balancer": (balancer_closed, QUICK, "client to OpenWhisk", "no HTTP answer"),
}


@pytest.mark.parametrize("case", SERVICES)
def test_each_broken_service_is_found(story: Story, case: str) -> None:
    broken, name, cause = SERVICES[case]
    with broken(story):
        document = story.verify("--only", name)
    first = document["problems"][0]
    assert first["what"] == name
    assert re.search(cause, first["why"]), first
    assert first["hint"]


def left_behind(name: str) -> dict[str, Any]:
    """Return the Job of a run that was killed, which ended long ago."""
    then = "2020-01-01T00:00:00Z"
    ended = {"type": "Complete", "status": "True", "lastTransitionTime": then}
    labels = {"lambda-fs/verify": "pod"}
    meta = {"name": name, "namespace": "openwhisk", "creationTimestamp": then, "labels": labels}
    return {"metadata": meta, "spec": {}, "status": {"conditions": [ended]}}


def not_passed(document: dict[str, Any]) -> dict[str, str]:
    """Return the results of the checks that did not pass; this deployment has no followers."""
    return {
        check["name"]: check["result"] for check in document["checks"] if check["result"] != "pass"
    }


def test_everything_is_connected_and_nothing_is_written_by_the_quick_part(story: Story) -> None:
    calls = len(story.environment.cloud.calls)
    document = story.verify("--quick", code=0)
    assert not_passed(document) == {"client to followers": "skipped"}
    made = story.environment.cloud.calls[calls:]
    assert [call.name for call in made if not call.reads] == []
    for api in story.environment.hooks.apis.values():
        api.state.put("jobs", left_behind("lambda-fs-verify-killed"))
    full = story.verify(*FULL, code=0)
    assert not_passed(full) == {}
    jobs = [
        job["metadata"]["name"]
        for api in story.environment.hooks.apis.values()
        for job in api.state.all("jobs")
    ]
    assert not [name for name in jobs if name.startswith("lambda-fs-verify")]


def test_the_whole_chain_ends_with_the_success_of_basic_test(story: Story) -> None:
    target = story.workspace.folder / "verify.html"
    document = story.verify("--html", str(target), code=0)
    shown = target.read_text(encoding="utf-8")
    assert shown.index("client to mysqld") < shown.index("[SUCCESS]")
    assert not_passed(document) == {"client to followers": "skipped"}
    last = document["checks"][-1]
    assert last["name"] == "BasicTest"
    assert "[SUCCESS]" in json.dumps(last)


def test_a_run_ends_with_ready(story: Story) -> None:
    printed = story.run("configure_eks_cluster.py", "configure", "--yes")
    last = printed.splitlines()[-1]
    assert last.startswith("λFS is ready: 20 NameNodes at https://127.0.0.2:"), "the internal one"
    assert "Next:" not in printed


def test_a_run_ends_with_what_is_missing_where_there_is_no_file_system(story: Story) -> None:
    """As without ndb_sql_scripts_dir: the connections all work, and λFS does not."""
    with not_formatted(story):
        printed = story.run("configure_eks_cluster.py", "configure", "--yes")
    assert "λFS is not ready: file system: the file system is not formatted" in printed
    assert "  Fix: run python create_aws_infrastructure.py create --reformat" in printed


def test_whisk_helper_brings_the_client_to_its_number_and_continues_after_a_failure(
    story: Story,
) -> None:
    def sync(number: int, *more: str, code: int) -> dict[str, Any]:
        words = ("--sync", "-n", str(number), *ACTIONS[2:], *more, "--json")
        document: dict[str, Any] = json.loads(story.run("whisk_helper.py", *words, code=code))
        return document

    def configured() -> str:
        site = HadoopXml.parse(story.client_file(LAMBDA_FS.site).read_bytes(), source="site")
        return str(site.get(desired.DEPLOYMENTS_MAX))

    with without_rule(Ports("tcp", 22, 22))(story):
        document = sync(21, code=1)
        assert {step["error"] for step in document["steps"]} == {None}
        problem = document["problems"][0]
        assert "lambda-fs-client-driver" in problem["what"]
        assert "cannot be reached" in problem["what"]
        assert problem["hint"]
        assert configured() == "20"
    document = sync(21, code=0)
    assert document["problems"] == []
    assert document["ready"] is False
    assert configured() == "21"
    comes_first(story.verify("--only", "znodes"), "znodes", "5 of 105 znodes do not exist")
    znodes = ("--only", "zookeeper znodes", "--yes")
    story.run("create_aws_infrastructure.py", "create", *znodes)
    assert sync(21, code=0)["ready"] is True
    sync(20, "--prune", "--yes", code=0)
    assert configured() == "20"


def test_basic_test_passes_where_the_file_system_holds_files(story: Story) -> None:
    """As after the experiments, and after a BasicTest that was interrupted."""
    with files_from_before(story):
        document = story.verify("--only", "BasicTest", code=0)
    assert "3 entries that / held before" in json.dumps(document["checks"][-1])


@pytest.mark.parametrize("case", CASES)
def test_the_broken_link_comes_first(story: Story, case: str) -> None:
    broken, words, name, cause = CASES[case]
    with broken(story):
        before = SHORT_PING if broken is balancer_closed else ""
        comes_first(story.verify(*words, first=before), name, cause)


def test_stopped_zookeeper_comes_first_for_the_cluster_and_for_the_client(story: Story) -> None:
    with zookeeper_stopped(story):
        comes_first(story.verify(*QUICK), "ZooKeeper ensemble", "no single leader")
        of_client = story.verify("--only", "client to ZooKeeper")
        comes_first(of_client, "client to ZooKeeper", "refuses connections")


def comes_first(document: dict[str, Any], name: str, cause: str) -> None:
    """Check that a result names this failed check first, with its cause and a hint."""
    first = document["problems"][0]
    assert first["what"] == name
    assert cause in first["why"]
    assert first["hint"]
    assert document["result"] == "failed"
    assert "123password123" not in json.dumps(document)
