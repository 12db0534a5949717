"""Files that others can write: private keys, logs of other versions, what wsk skips in its file.

tests/trust/test_fuzz.py damages the input of every reader.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.engine.history import read_events
from aws_setup.errors import SetupError
from aws_setup.openwhisk.credentials_file import missing_host, read
from aws_setup.ssh.keys import KeyRing, inspect_key
from aws_setup.ssh.ssh_config import SshSettings
from tests.support.machines import make_key

pytestmark = pytest.mark.kind("C7")

DATA = Path(__file__).parent / "data"
ROUNDS = 120

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


def test_a_long_line_of_the_openssh_configuration_is_read_in_one_pass(tmp_path: Path) -> None:
    path, included = tmp_path / "config", tmp_path / "other"
    included.write_text("Host a\n  Port 2222\n")
    path.write_text(f"Include {included}{' ' * 200_000}none\nInclude b{' ' * 200_000}c\n")
    assert SshSettings(path).route("a").port == 2222
