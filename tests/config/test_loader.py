"""The configuration loader: what loads, what it means, and which messages refuse the rest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws_setup.config import Config, load_config
from aws_setup.config.base import FORMS
from aws_setup.config.messages import PLACEHOLDER
from aws_setup.errors import Problem, Refused

DATA = Path(__file__).parents[1] / "data"
FILLED = "ssh_keypair_name: k\nssh_key_path: /k.pem\n"
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str, *, filled: bool = True, **layers: Any) -> Config:
        path = tmp_path / "config_aws.yaml"
        path.write_text(text + FILLED * filled, encoding="utf-8")
        return load_config(path, **layers)

    return load


def problems_of(load: Load, text: str, **more: Any) -> tuple[Problem, ...]:
    with pytest.raises(Refused) as caught:
        load(text, **more)
    return caught.value.problems


def test_the_original_file_has_the_same_meaning() -> None:
    config = load_config(DATA / "original_aws.yaml")
    plain = Config(ssh_keypair_name="my-key", ssh_key_path=str(DATA / "keys/my-key.pem"))
    chosen = {"aws_profile": "research", "aws_region": "us-east-1"}
    receipts = {"infrastructure_json_path": str(DATA / "infrastructure_json")}
    assert config == plain.model_copy(update=chosen | receipts)
    assert config.create_launch_templates
    assert config.create_autoscaling_groups


def test_the_originals_file_of_the_eks_script_loads() -> None:
    config = load_config(DATA / "original_eks.yaml")
    assert config.aws_account_id == "123456789012"
    assert config.infrastructure_json_path == str(DATA / "infrastructure_json/run.json")


def test_a_switch_means_what_its_name_says(load: Load) -> None:
    off = load("create_launch_templates: False\ncreate_autoscaling_groups: no\n")
    assert not off.create_launch_templates
    assert not off.create_autoscaling_groups


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("kubernetes_version: 1.30", "kubernetes_version", "1.30"),
        ("aws_account_id: 012345670123", "aws_account_id", "012345670123"),
        ("vpc_name: no", "vpc_name", "no"),
        ("aws_profile:", "aws_profile", None),
        ("aws_profile: null", "aws_profile", None),
        ('num_ndb_datanodes: "6"', "num_ndb_datanodes", 6),
        ('"eks_cluster_name ": mine', "eks_cluster_name", "mine"),
        ("user_public_ip: 52.94.76.7/32", "user_public_ip", "52.94.76.7"),
        ("user_public_ip: 52.94.76.0/24", "user_public_ip", "52.94.76.0/24"),
        (
            "user_public_ip: [52.94.76.7, '2A05::/64']",
            "user_public_ip",
            ("52.94.76.7", "2a05::/64"),
        ),
    ],
)
def test_a_value_keeps_the_spelling_of_the_file(
    load: Load, line: str, key: str, value: Any
) -> None:
    assert getattr(load(line + "\n"), key) == value


@pytest.mark.parametrize(
    ("text", "what", "why", "hint"),
    [
        (
            "ssh_key_pth: x\n",
            "1:1: ssh_key_pth",
            "no such key; did you mean ssh_key_path?",
            "write ssh_key_path",
        ),
        ("qqqqqq: x\n", "1:1: qqqqqq", "no such key", "see sample_config_aws.yaml"),
        (
            "vpc_name: a\nvpc_name: b\n",
            "2:1: vpc_name",
            "set twice, first at config_aws.yaml:1:1",
            "remove one",
        ),
        ("vpc_name:\n", "1:10: vpc_name", "it has no value", "Name tag of the VPC"),
        ("vpc_name: ''\n", "1:11: vpc_name", "it has no value", "Name tag"),
        ("aws_profile: <FILL THIS IN>\n", "aws_profile", "<FILL THIS IN> is not replaced", ""),
        (
            'infrastructure_json_path: "<FILL_THIS_IN>"\n',
            "1:27",
            "<FILL_THIS_IN> is not replaced",
            "",
        ),
        ("zk_node_public_IPs:\n- <IP1>\n", "2:3: zk_node_public_IPs", "<IP1> is not replaced", ""),
        ("create_vpc: maybe\n", "1:13: create_vpc", "'maybe' is neither True nor False", ""),
        ("num_ndb_datanodes: True\n", "1:20", "'True' is not an integer", "NDB data nodes"),
        ("num_ndb_datanodes: 2.5\n", "1:20", "'2.5' is not an integer", ""),
        ("num_ndb_datanodes: 1000\n", "1:20", "above the maximum, 48", ""),
        ("num_ndb_datanodes: 0\n", "1:20", "below the minimum, 2", ""),
        ("vpc_cidr: 10.0.0.1/16\n", "1:11", "has host bits set; the network is 10.0.0.0/16", ""),
        ("vpc_cidr: ten\n", "1:11", "'ten' is not an IPv4 network", ""),
        ("vpc_name: [a]\n", "1:11", "expected a string", ""),
        ("zookeeper_private_ips: 10.0.8.1\n", "1:24", "expected a list", "[10.0.8.233,"),
        ("zookeeper_private_ips: [10.0.8.9, x]\n", "1:35", "'x' is not an IPv4 address", ""),
        (
            "public_subnet_cidrs: [10.0.0.0/20]\n",
            "1:22",
            "the number of items is 1; at least 2 required",
            "",
        ),
        ("eks_log_types: [audits]\n", "1:17", "'audits' is not one of", ""),
        ("eks_iam_role_name: rôle\n", "1:20", "'rôle' has an invalid format", "IAM role"),
        ("deployment_name: My Test\n", "1:18", "expected 2 to 32 lower-case letters, digits", ""),
        ("aws_account_id: 1234\n", "1:17", "'1234' has an invalid format: expected 12 digits", ""),
        ("tags: {aws:x: y}\n", "1:7", "reserved", 'Example: {CostCenter: "4711"}'),
        ("eks_node_role_name: rôle\n", "1:21", "'rôle' has an invalid format", ""),
        ("openwhisk_tls_name: ζ.example.com\n", "1:21", "has an invalid format", ""),
        (f"openwhisk_tls_name: {'a' * 65}\n", "1:21", "has an invalid format", ""),
        ("openwhisk_invoker_image_tag: a/b\n", "1:30", "'a/b' has an invalid format", ""),
        ("namenode_image: a/b:1é\n", "1:17", "'a/b:1é' has an invalid format", ""),
        (
            "cluster_admins: ['arn:aws:iam::123456789012:role/rôle']\n",
            "1:18",
            "role/rôle' has an invalid format",
            "",
        ),
        ("zookeeper_ami: ami-x\n", "1:16", "'ami-x' has an invalid format", "Example: ami-"),
        ("user_public_ip: 1.2.3\n", "1:17", "neither an IPv4 or IPv6 address", ""),
        ("user_public_ip: 52.94.76.7/24\n", "1:17", "has host bits set; the network is", ""),
        ("user_public_ip: '::/0'\n", "1:17", "cannot be a public address", ""),
        ("user_public_ip: 0.0.0.0/0\n", "1:17", "cannot be a public address", ""),
        ("user_public_ip: []\n", "1:17", "the list is empty", ""),
        ("user_public_ip: 0.0.0.0\n", "1:17", "cannot be a public address", ""),
        ("security_group_name: sg-a\n", "1:22", "cannot begin with sg-", ""),
        ("skip_eks: True\n", "1:1: skip_eks", "no longer used", "create_eks_cluster: False"),
        ("skip_eks: False\n", "1:1: skip_eks", "no longer used", "create_eks_cluster: True"),
        ("infrastructure_json_file_name: x\n", "1:1", "renamed", "infrastructure_json_path"),
        ("ndb_mgm_private_ipv4: x\n", "1:1", "renamed", "ndb_manager_private_ip"),
        ("lambda_fs_vm_public_ipv4: x\n", "1:1", "looked up by its tags", "remove the line"),
        ("? [a]\n: b\n", "config_aws.yaml:1:3", "a key must be a plain word", "sample"),
    ],
)
def test_a_problem_has_its_position_and_a_fix(
    load: Load, text: str, what: str, why: str, hint: str
) -> None:
    (problem,) = problems_of(load, text)
    assert what in problem.what
    assert why in problem.why
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("skip_vpc_creation", "create_vpc"),
        ("skip_iam_role_creation", "create_eks_iam_role"),
        ("skip_zookeeper_vm_creation", "create_zookeeper_vms"),
        ("skip_launch_templates", "create_launch_templates"),
        ("skip_autoscaling_groups", "create_autoscaling_groups"),
    ],
)
def test_deprecated_switches_name_their_replacement(load: Load, old: str, new: str) -> None:
    assert [f.hint for f in problems_of(load, f"{old}: True\n")] == [f"write {new}: False instead"]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no colon in a file's name")
def test_a_files_name_does_not_decide_the_order_of_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "my:1:1.yaml"
    path.write_text("no_such_key: 1\nssh_keypair_name: <FILL THIS IN>\nanother_key: 1\n")
    with pytest.raises(Refused) as refused:
        load_config(path)
    found = refused.value.problems
    places = [f"my:1:1.yaml:{line}" for line in ("1:1: no_", "2:19: ssh_key", "3:1: another")]
    assert all(p.what.startswith(place) for p, place in zip(found[:3], places, strict=True))
    assert found[3].what == "my:1:1.yaml: ssh_key_path", "a missing key has no line"
    assert {type(problem) for problem in found} == {Problem}


def test_a_mistyped_required_key_is_not_missing_as_well(load: Load) -> None:
    text = "ssh_keypair_name: key\nssh_keypath: key.pem\n"
    (problem,) = problems_of(load, text, filled=False)
    assert "did you mean ssh_key_path?" in problem.why


def test_every_form_of_a_key_is_said_in_words() -> None:
    """The pattern that a value does not match says nothing to who does not read such."""
    schema = json.dumps(Config.model_json_schema())
    patterns = {
        json.loads(found) for found in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema)
    }
    assert patterns
    assert patterns <= FORMS.keys()


def test_every_problem_is_listed_at_once_in_the_order_of_the_file(load: Load) -> None:
    text = "num_ndb_datanodes: 3\nnope: 1\ncreate_vpc: maybe\nssh_keypair_name: <FILL THIS IN>\n"
    found = problems_of(load, text, filled=False)
    assert [problem.what.removeprefix("config_aws.yaml") for problem in found] == [
        ":1:20: num_ndb_datanodes",
        ":2:1: nope",
        ":3:13: create_vpc",
        ":4:19: ssh_keypair_name",
        ": ssh_key_path",
    ]
    assert found[-1].why == "this required key is missing"


@pytest.mark.parametrize(
    ("content", "what", "why", "hint"),
    [
        (b"", "is empty", "", "sample_config_aws.yaml"),
        (b"- a\n- b\n", "config_aws.yaml:1:1", "not a list of 'key: value'", "sample"),
        (b'ssh_key_path: "C:\\Users\\x"\n', ":1:20", "escape", "single quotes"),
        (b"a: b\n\tc: d\n", ":2:1", "invalid YAML", "replace the tab character"),
        (b"a: b: c\n", ":1:5", "invalid YAML: no colon is expected here", "quotes"),
        (b"a: 1\ntags: {a: b\n# c\nb: 2\n", ":2:7", "this bracket is not closed", "close it"),
        (b"a: [1, 2\nb: 3\n", ":1:4", "this bracket is not closed", "close it"),
        (b"p: 'x\nb: 1\n", ":1:4", "this quote is not closed", "close it"),
        (b'p: "x\nb: 1\nc: "12h"\n', ":3:5", "does not belong to the value", "close the quotes"),
        (b"a: 1\nprofile smoke\nb: 2\n", ":2:1", "this line is not of the form", "'key: value'"),
        (b"profile smoke\n# c\nb: 2\n", ":3:1", "the lines above are not", "'key: value'"),
        (b" a: 1\nb: 2\n", ":2:1", "or are indented", "in the first column"),
        (b"a: @x\n", ":1:4", "cannot begin with this character", "quotes"),
        (b"a: *x\n", ":1:4", "there is none of this name", "quotes"),
        (b"a: 1\n---\nb: 2\n", ":2:1", "a second document begins here", "remove the line ---"),
        (b"a: &x [*x]\n", "config_aws.yaml", "an alias (*name) is inside", "instead of the alias"),
        (b"a: \xff\xfe\xfa\n", "config_aws.yaml:1:4", "is not UTF-8", "UTF-8"),
    ],
)
def test_invalid_yaml_is_refused(
    tmp_path: Path, content: bytes, what: str, why: str, hint: str
) -> None:
    path = tmp_path / "config_aws.yaml"
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert what in problem.what
    assert why in problem.why
    assert hint in problem.hint


def test_a_file_saved_by_a_windows_editor_loads(tmp_path: Path) -> None:
    path = tmp_path / "config_aws.yaml"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(FILLED.replace("\n", "\r\n").encode(encoding))
        assert load_config(path).ssh_keypair_name == "k"


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no configuration file") as caught:
        load_config(tmp_path / "absent.yaml")
    assert "copy sample_config_aws.yaml" in caught.value.problems[0].hint
    with pytest.raises(Refused, match="cannot be read"):
        load_config(tmp_path)


def test_flags_override_the_environment_which_overrides_the_file(load: Load) -> None:
    text = "aws_region: eu-west-1\n"
    environ = {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-1"}
    assert load("").aws_region is None
    assert load(text).aws_region == "eu-west-1"
    assert load(text, environ=environ).aws_region == "us-west-2"
    prefixed = environ | {"LAMBDA_FS_AWS_REGION": "ap-south-1"}
    assert load(text, environ=prefixed).aws_region == "ap-south-1"
    flag = {"aws_region": "ca-central-1", "aws_profile": None}
    assert load(text, environ=prefixed, overrides=flag).aws_region == "ca-central-1"


def test_required_keys_may_come_from_the_environment(load: Load) -> None:
    environ = {"LAMBDA_FS_SSH_KEYPAIR_NAME": "e", "LAMBDA_FS_ZK_NODE_PUBLIC_IPS": "[1.2.3.4]"}
    config = load("ssh_key_path: k\n", filled=False, environ=environ)
    assert config.ssh_keypair_name == "e"
    assert [str(address) for address in config.zk_node_public_IPs] == ["1.2.3.4"]


@pytest.mark.parametrize(
    ("environ", "what", "hint"),
    [
        ({"LAMBDA_FS_VPC_NAMES": "x"}, "LAMBDA_FS_VPC_NAMES", "set LAMBDA_FS_VPC_NAME instead"),
        ({"LAMBDA_FS_VPC_CIDR": "x"}, "environment variable LAMBDA_FS_VPC_CIDR: vpc_cidr", ""),
        ({"LAMBDA_FS_ZOOKEEPER_PRIVATE_IPS": "[1"}, "ZOOKEEPER_PRIVATE_IPS", "write [a, b]"),
    ],
)
def test_a_problem_in_the_environment_names_the_variable(
    load: Load, environ: dict[str, str], what: str, hint: str
) -> None:
    (problem,) = problems_of(load, "", environ=environ)
    assert what in problem.what
    assert hint in problem.hint


def test_a_problem_in_a_flag_names_the_flag(load: Load) -> None:
    (problem,) = problems_of(load, "", overrides={"aws_region": "mars"})
    assert problem.what == "flag --region: aws_region"


def test_relative_paths_start_from_the_file_and_home_is_known(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    config = load("ssh_keypair_name: k\nssh_key_path: keys/k.pem\n", filled=False)
    assert Path(config.ssh_key_path) == tmp_path / "keys/k.pem"
    assert Path(config.infrastructure_json_path) == tmp_path / "infrastructure_json"
    config = load("ssh_keypair_name: k\nssh_key_path: ~/k.pem\n", filled=False)
    assert Path(config.ssh_key_path) == tmp_path / "home" / "k.pem"
    config = load("", environ={"LAMBDA_FS_SSH_KEY_PATH": "here.pem"})
    assert Path(config.ssh_key_path) == other / "here.pem"


def _other_value(key: str) -> Any:
    """Return a valid value of a switch or a number that is not its default, None of the rest."""
    default = Config.model_fields[key].default
    if isinstance(default, bool):
        return not default
    return default + 2 if isinstance(default, int) else None


SIMPLE = [key for key in Config.model_fields if _other_value(key) is not None]


@pytest.mark.parametrize("key", SIMPLE)
def test_each_switch_and_number_takes_effect(load: Load, key: str) -> None:
    other = _other_value(key)
    # Some values are valid only together with others.
    with_it = {
        "create_launch_templates": "create_autoscaling_groups: False\n",
        "autoscaling_group_min_size": "autoscaling_group_desired_capacity: 2\n",
    }
    assert getattr(load(f"{key}: {other}\n" + with_it.get(key, "")), key) == other


# An example in angle brackets says where the value is set, and is not a value itself.
EXEMPLIFIED = [
    key
    for key, field in Config.model_fields.items()
    if field.examples and not PLACEHOLDER.match(str(field.examples[0]))
]


@pytest.mark.parametrize("key", EXEMPLIFIED)
def test_each_example_is_a_valid_value(load: Load, key: str) -> None:
    (example, *_) = Config.model_fields[key].examples or [None]
    with_it = "create_vpc: False\n" if key in ("vpc_id", "subnet_ids") else ""
    config = load(f"{key}: {json.dumps(example)}\n{with_it}")
    assert getattr(config, key) is not None
