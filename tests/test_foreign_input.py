"""Every reader of what others can write gives a value or an error with a fix, never another."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_setup.config import Config
from aws_setup.config.paths import credentials_path, namenodes_path
from aws_setup.eks.kubeconfig import load
from aws_setup.engine.history import read_events
from aws_setup.engine.receipt import write_receipt
from aws_setup.engine.step import Found
from aws_setup.errors import SetupError
from aws_setup.openwhisk.credentials_file import missing_host, read, read_credentials
from aws_setup.openwhisk.helm import parse_documents, parse_status
from aws_setup.software.clients.namenode_record import read_record
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.ndb.initial_start import InitStage, read_marker
from aws_setup.software.ndb.ndb_mgm import parse_show
from aws_setup.ssh.keys import KeyRing, inspect_key
from aws_setup.ssh.known_hosts import KnownHosts, keys_in_console
from aws_setup.ssh.ssh_config import SshSettings
from tests.support.machines import make_key

pytestmark = pytest.mark.kind("C7")

DATA = Path(__file__).parent / "data"
ROUNDS = 120

SHOW = """Cluster Configuration
---------------------
[ndbd(NDB)]\t2 node(s)
id=1\t@10.0.8.1  (mysql-8.0.33 ndb-8.0.33, Nodegroup: 0, *)
id=2 (not connected, accepting connect from 10.0.8.2)

[mysqld(API)]\t1 node(s)
id=51\t@10.0.8.3  (mysql-8.0.33 ndb-8.0.33)
"""
KUBECONFIG = "apiVersion: v1\nclusters:\n- {name: a, cluster: {server: 'https://x'}}\nusers: []\n"
SSH = (
    'Host a b\n  Port 22\n  ProxyJump u@h:22\n  IdentityFile "~/.ssh/a b"\nMatch host c\n  User d\n'
)
PROPERTIES = "a = b\\\n  c\nd\\u0041:e\n! comment\n"
PIECES = [
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b'"', b"{", b"}", b"[", b"]", b":"),
    *(b"9" * 5000, b"[" * 5000, b"null", b"1e999", b"-", b"=", b"\\u", b"AAAA", b"\xe2\x80\xae"),
    *(b"Match exec x\n", b"Include /\n", b"Port x\n", b"%", b"${", b"\\"),
]


def damaged(seed: bytes, *, number: int) -> Iterator[bytes]:
    """Yield variants of a file: cut off, with bytes removed, doubled, or put in."""
    dice = random.Random(number)
    yield from (b"", b"\x00" * 100, b"[" * 100_000, b"null", b"[]", b"{}", b'"x"', b"\xff" * 50)
    for _ in range(ROUNDS):
        content = bytearray(seed)
        for _ in range(dice.randint(1, 5)):
            at = dice.randrange(len(content) + 1)
            act = dice.randrange(3)
            if act == 0:
                del content[at : at + dice.randint(1, 30)]
            elif act == 1:
                content[at:at] = dice.choice(PIECES)
            else:
                del content[at:]
        yield bytes(content)


def config(folder: Path) -> Config:
    return Config(
        ssh_keypair_name="k", ssh_key_path="/k.pem", infrastructure_json_path=str(folder / "x.json")
    )


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def on_file(use: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def run(data: bytes, folder: Path) -> object:
        path = folder / "file"
        path.write_bytes(data)
        return use(path)

    return run


def stored(
    place: Callable[[Config], Path], use: Callable[[Config], object]
) -> Callable[[bytes, Path], object]:
    def run(data: bytes, folder: Path) -> object:
        place(config(folder)).write_bytes(data)
        return use(config(folder))

    return run


def settings(path: Path) -> None:
    route = SshSettings(path).route("a")
    for hop in route.jumps:
        SshSettings(path).jump(hop)


READERS: dict[str, tuple[bytes, Callable[[bytes, Path], object]]] = {
    "events log": ((DATA / "create.events.jsonl").read_bytes()[:6000], on_file(read_events)),
    "receipt": (
        b'{"steps": {"vpc": {"id": "x"}}}',
        on_file(lambda path: write_receipt(path, {}, {"a": Found("b")}, known=["vpc"])),
    ),
    "kubeconfig": (KUBECONFIG.encode(), on_file(load)),
    "ssh_config": (SSH.encode(), on_file(settings)),
    "known_hosts": (
        b"i-1 ssh-rsa AAAAB3NzaC1yc2E=\n@revoked i-1 x y\n|1|a|b ssh-rsa AAAA\n",
        on_file(lambda path: KnownHosts(path).keys("i-1")),
    ),
    "console": (
        b"-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAA x\n-----END SSH HOST KEY KEYS-----",
        lambda data, _: keys_in_console(text(data)),
    ),
    "wskprops": (
        b"APIHOST=http://x\nAUTH=a:b\n# c\n",
        on_file(lambda path: (read({"WSK_CONFIG_FILE": str(path)}, path), missing_host({}, path))),
    ),
    "credentials": (
        b"APIHOST=http://x\nAUTH=a:b\n",
        stored(credentials_path, read_credentials),
    ),
    "namenode record": (
        b'{"prefix": "a", "namespace": "b", "deployments": 3, "api_host": "c"}',
        stored(namenodes_path, read_record),
    ),
    "ndb_mgm": (SHOW.encode(), lambda data, _: parse_show(text(data))),
    "ndb marker": (
        f'{{"cluster": "a", "machine": "b", "stage": "{next(iter(InitStage))}"}}'.encode(),
        lambda data, _: read_marker(text(data)),
    ),
    "helm status": (
        b'{"info": {"status": "deployed"}, "version": 1}',
        lambda data, _: parse_status(text(data)),
    ),
    "helm manifest": (KUBECONFIG.encode(), lambda data, _: parse_documents(text(data))),
    "properties": (
        PROPERTIES.encode(),
        lambda data, _: JavaProperties.parse(data, source="x").with_values({"a": "b"}),
    ),
    "hdfs-site.xml": (
        b"<configuration><property><name>a</name><value>b</value></property></configuration>",
        lambda data, _: HadoopXml.parse(data, source="x").with_values({"a": "b"}),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_input_is_a_value_or_an_error_with_a_fix(name: str, tmp_path: Path) -> None:
    seed, use = READERS[name]
    use(seed, tmp_path)
    for data in damaged(seed, number=len(name)):
        try:
            use(data, tmp_path)
        except SetupError as error:
            assert all(problem.why and problem.hint for problem in error.problems), data


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "ecdsa"])
def test_a_damaged_private_key_is_named(kind: str, tmp_path: Path) -> None:
    seed = make_key(tmp_path / "key", kind=kind).read_bytes()
    path = tmp_path / "damaged"
    for data in damaged(seed, number=3):
        path.write_bytes(data)
        for use in (inspect_key, lambda path: list(KeyRing(path).keys_to_offer())):
            try:
                use(path)
            except SetupError as error:
                assert "damaged" in str(error)
                assert error.problems[0].hint


def test_a_log_keeps_what_is_readable_around_a_foreign_line(tmp_path: Path) -> None:
    path = tmp_path / "x.events.jsonl"
    lines = (DATA / "create.events.jsonl").read_text(encoding="utf-8").splitlines()
    before = len(read_events(DATA / "create.events.jsonl")[0].events)
    foreign = [
        '{"run": ["x"], "kind": "done"}',
        '{"run": "y", "kind": "run", "command": "plan", "script": "s", "later": 2, "plan": '
        '{"a": {"action": "create", "later": 1}}}',
        '{"run": "y", "kind": "end", "result": "ok"}',
        '{"run": "y", "kind": "done", "at": null, "step": "a"}',
        '{"run": "y", "kind": "done", "at": 1, "step": "a", "action": "teleport"}',
        '{"run": "y", "ki',
    ]
    path.write_text("\n".join([*foreign[:3], *lines, *foreign[3:]]), encoding="utf-8")
    records = read_events(path)
    assert [len(record.events) for record in records] == [0, before]


@pytest.mark.kind("B7")
@pytest.mark.parametrize(
    "line", ["\ufeffAPIHOST=h", "export APIHOST=h", "apihost=h", "APIHOST=h=1", "Export APIHOST=h"]
)
def test_a_line_that_wsk_skips_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / ".wskprops").write_text(f"{line}\nAUTH = a:b \n", encoding="utf-8")
    assert {key: found.value for key, found in read({}, tmp_path).items()} == {"AUTH": "a:b"}
    why = missing_host({}, tmp_path)
    assert f"{tmp_path / '.wskprops'} names no APIHOST" in why
    if not line.startswith("Export"):
        assert "its line 1 is not APIHOST=value, as wsk reads it" in why


@pytest.mark.kind("B7")
def test_the_environment_overrides_the_file_as_in_wsk(tmp_path: Path) -> None:
    file = tmp_path / "props"
    file.write_text("APIHOST=file\nAUTH=a:b\nNAMESPACE=n\n")
    environment = {"WSK_CONFIG_FILE": str(file), "WHISK_APIHOST": "environment"}
    found = {key: item.value for key, item in read(environment, tmp_path).items()}
    assert found == {"APIHOST": "environment", "AUTH": "a:b"}
    assert missing_host({}, tmp_path) == ""
