"""The verb allow-my-ip: an operator whose address changes is let in at all three places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws_setup.cli.address_verdict import comparing_addresses
from aws_setup.cli.aws_commands import open_context
from aws_setup.config import load_config
from aws_setup.engine.result import Result
from aws_setup.engine.wait import SystemClock
from aws_setup.errors import ALLOW_MY_IP, Place, Problem, SetupError, address_hint
from aws_setup.kube.connect import owner_labels
from aws_setup.kube.errors import to_kube_error
from aws_setup.namenodes.client import UNREACHABLE_HINT
from aws_setup.openwhisk.helm_hints import hint_for
from aws_setup.preflight.policy_document import policy
from aws_setup.rehearsal.core.server import RehearsalCloud
from aws_setup.rehearsal.core.settings import ACCOUNT
from aws_setup.rehearsal.kubernetes.eks_bridge import EksApiServers
from create_aws_infrastructure import SCRIPT
from tests.support.aws import client
from tests.support.scripts import prepare, run, write_config

HOME, CAFE, OFFICE = "52.94.76.7", "8.8.8.8", "203.0.112.7"
SMALL: dict[str, Any] = {
    "user_public_ip": "DEFAULT_VALUE",
    "create_ndb_cluster": False,
    "create_zookeeper_vms": False,
    "create_lambda_fs_client_vm": False,
    "create_hops_fs_client_vm": False,
    "create_launch_templates": False,
    "create_autoscaling_groups": False,
}


@dataclass
class Operator:
    """An operator's laptop, the cloud, and the cluster's API servers."""

    cloud: RehearsalCloud
    hooks: EksApiServers
    folder: Path

    def at(self, address: str) -> None:
        self.cloud.settings.operator_address = address

    def configure(self, **settings: Any) -> None:
        write_config(self.folder, **(SMALL | settings))

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        ended = run(SCRIPT, self.folder, *words, "--json", "--yes")
        document: dict[str, Any] = json.loads(ended.stdout)
        assert ended.exit_code == code, document
        return document

    def allow(self, *words: str, code: int = 0) -> dict[str, Any]:
        return self.run("allow-my-ip", *words, code=code)

    def install_openwhisk(self) -> None:
        """Put what configure_eks_cluster.py creates, as far as the verb reads it."""
        config = load_config(self.folder / "config_aws.yaml", overrides={}, environ={})
        [api] = self.hooks.apis.values()
        meta = {"name": "owdev-public", "namespace": "openwhisk", "labels": owner_labels(config)}
        spec = {"type": "LoadBalancer", "selector": {"name": "n"}, "ports": [{"port": 443}]}
        spec |= {"loadBalancerSourceRanges": [f"{HOME}/32"]}
        api.state.put("services", {"metadata": meta, "spec": spec})

    @property
    def allowed(self) -> dict[str, list[str]]:
        """Who is let in at each place."""
        names = [{"Name": "group-name", "Values": ["lambda-fs-security-group"]}]
        [group] = client("ec2").describe_security_groups(Filters=names)["SecurityGroups"]
        rules = [item for item in group["IpPermissions"] if item.get("FromPort") == 22]
        ssh = [source["CidrIp"] for rule in rules for source in rule["IpRanges"]]
        ssh += [source["CidrIpv6"] for rule in rules for source in rule.get("Ipv6Ranges", [])]
        cluster = client("eks").describe_cluster(name="lambda-fs-eks-cluster")["cluster"]
        [api] = self.hooks.apis.values()
        service = api.state.get("services", "owdev-public", "openwhisk") or {"spec": {}}
        return {
            "ssh": sorted(ssh),
            "eks": sorted(cluster["resourcesVpcConfig"]["publicAccessCidrs"]),
            "openwhisk": sorted(service["spec"].get("loadBalancerSourceRanges", [])),
        }

    def writes(self, since: int) -> list[str]:
        return [call.name for call in self.cloud.calls[since:] if not call.reads]

    def planned(self) -> dict[str, str]:
        """What the next `create` would do at the two places that are the first script's."""
        steps = self.run("plan")["steps"]
        return {
            step["name"]: step["action"]
            for step in steps
            if step["name"] in ("security group", "eks cluster")
        }


def everywhere(*addresses: str) -> dict[str, list[str]]:
    listed = sorted(f"{address}/32" for address in addresses)
    return {"ssh": listed, "eks": listed, "openwhisk": listed}


NOTHING = {"security group": "exists", "eks cluster": "exists"}


@pytest.fixture
def laptop(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operator]:
    monkeypatch.setenv("AWS_SETUP_CHECKIP", f"{cloud.url}/_rehearsal/checkip")
    with EksApiServers(cloud) as hooks:
        found = Operator(cloud, hooks, prepare(tmp_path / "work", **SMALL))
        config = load_config(found.folder / "config_aws.yaml", overrides={}, environ={})
        cloud.settings.policies = [policy(config, account=ACCOUNT)]
        yield found


def test_a_changed_address_replaces_the_earlier_one_at_all_three_places(laptop: Operator) -> None:
    nothing = laptop.allow(code=2)["problems"][0]
    assert "nothing to let you in to" in nothing["what"]
    assert nothing["why"].count("EKS cluster") == 1, nothing["why"]
    laptop.run("create")
    laptop.install_openwhisk()
    assert laptop.allowed == everywhere(HOME)

    laptop.at(CAFE)
    document = laptop.allow()
    assert document["allowed_cidrs"] == [f"{CAFE}/32"]
    assert {step["action"] for step in document["steps"]} == {"update"}
    assert laptop.allowed == everywhere(CAFE)
    calls = len(laptop.cloud.calls)
    assert {step["action"] for step in laptop.allow()["steps"]} == {"exists"}
    assert laptop.writes(calls) == []
    assert laptop.planned() == NOTHING

    laptop.at(OFFICE)
    laptop.allow("--keep")
    assert laptop.allowed == everywhere(CAFE, OFFICE)
    laptop.at(HOME)
    laptop.allow("--keep")
    assert laptop.allowed == everywhere(CAFE, OFFICE, HOME)
    assert laptop.planned() == NOTHING, "create keeps them, too"
    laptop.at(OFFICE)
    laptop.allow("--only", "eks cluster")
    assert laptop.allowed["eks"] == [f"{OFFICE}/32"]
    assert len(laptop.allowed["ssh"]) == 3, "as after a run that was killed in the middle"
    laptop.allow()
    assert laptop.allowed == everywhere(OFFICE)
    assert laptop.planned() == NOTHING

    laptop.configure(operators=["198.51.99.7", "198.52.0.0/24", "2a05:d018::1"])
    document = laptop.allow()
    listed = sorted([f"{OFFICE}/32", "198.51.99.7/32", "198.52.0.0/24"])
    assert laptop.allowed["ssh"] == sorted([*listed, "2a05:d018::1/128"])
    assert laptop.allowed["eks"] == laptop.allowed["openwhisk"] == listed
    assert "2a05:d018::1/128 is let in for SSH only" in json.dumps(document["warnings"])
    assert laptop.planned() == NOTHING
    assert laptop.run("destroy")["result"] == "ok"


def test_what_the_verb_cannot_do_is_refused_before_anything_is_written(
    laptop: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: str) -> str:
        document = laptop.allow(*words, code=2)
        assert document["result"] == "refused"
        [problem] = document["problems"]
        assert problem["hint"]
        return f"{problem['what']}: {problem['why']}"

    assert "nowhere to note" in refused("--keep")
    laptop.at("10.1.2.3")
    assert "10.1.2.3/32 is not a public address" in refused()
    laptop.configure(operators=["10.0.0.0/8"])
    laptop.at(CAFE)
    assert "10.0.0.0/8 is not a public address" in refused()
    for wrong in ("somewhere", "203.0.113.7/24", "0.0.0.0/0", "::"):
        laptop.configure(operators=[wrong])
        assert wrong in refused()
    laptop.configure()
    monkeypatch.setenv("AWS_SETUP_CHECKIP", "http://127.0.0.1:9/")
    assert "your public address is not known" in refused()
    assert laptop.writes(0) == ["ec2.ImportKeyPair"]


def test_ranges_that_the_configuration_names_are_not_changed(laptop: Operator) -> None:
    laptop.configure(eks_public_access_cidrs=["52.94.76.0/24"], create_eks_cluster=True)
    laptop.run("create")
    laptop.at(CAFE)
    document = laptop.allow()
    assert laptop.allowed["ssh"] == [f"{CAFE}/32"]
    assert laptop.allowed["eks"] == ["52.94.76.0/24"]
    assert "does not let 8.8.8.8/32 in" in json.dumps(document["warnings"])
    laptop.configure(eks_public_access_cidrs=["52.94.76.0/24"], user_public_ip=HOME)
    document = laptop.allow("--only", "security group")
    assert "AWS sees you at 8.8.8.8, which is not let in" in json.dumps(document["warnings"])


def test_a_timeout_says_whether_the_address_has_changed(laptop: Operator) -> None:
    """Of SSH, the endpoint and OpenWhisk, in what a command raises and in what it has noted."""
    laptop.run("create")
    laptop.install_openwhisk()
    config = load_config(laptop.folder / "config_aws.yaml", overrides={}, environ={})
    problems = [Problem("x", "", f"{address_hint(place)}; more") for place in Place]

    def hints() -> list[str]:
        result = Result(command="status", problems=list(problems))
        with (
            open_context(config, SystemClock(pace=0)) as ctx,
            pytest.raises(SetupError) as caught,
            comparing_addresses(result, lambda: ctx),
        ):
            raise SetupError.all(problems)
        assert list(caught.value.problems) == result.problems
        return [problem.hint for problem in result.problems]

    for hint in hints():
        assert "has not changed" in hint
        assert "allow-my-ip" not in hint
        assert hint.endswith("; more")
    laptop.at(CAFE)
    ssh, endpoint, openwhisk = hints()
    for hint, place in ((ssh, "SSH"), (endpoint, "the cluster's endpoint")):
        assert hint.startswith(
            "run `python create_aws_infrastructure.py allow-my-ip`: AWS sees you"
        )
        assert f"at {CAFE}, and {place} lets in {HOME}/32" in hint
    assert "if your public address has changed" in openwhisk, "the Service cannot be read from here"
    laptop.allow("--only", "eks cluster")
    assert "has not changed" in hints()[1]
    assert f"{CAFE}, and OpenWhisk's load balancer lets in {HOME}/32" in hints()[2]
    laptop.configure(user_public_ip=HOME)
    config = load_config(laptop.folder / "config_aws.yaml", overrides={}, environ={})
    assert hints()[0].startswith("set user_public_ip to DEFAULT_VALUE")
    unknown = Result(command="list", problems=list(problems))
    with comparing_addresses(unknown, lambda: None):
        pass
    assert unknown.problems == problems, "without a configuration nothing is compared"


def test_what_times_out_at_each_place_names_the_verb() -> None:
    late = "Connection to zoo timed out. (connect timeout=5.0)"  # urllib3's text
    endpoint = to_kube_error("GET", "/api/v1/nodes", 0, late).problems[0].hint
    helm = hint_for("Error: dial tcp 198.51.100.1:443: i/o timeout")
    for hint in (endpoint, helm, UNREACHABLE_HINT):
        assert f"if your public address has changed, {ALLOW_MY_IP}" in hint
