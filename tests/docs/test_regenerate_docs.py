"""Every generated file is current, and bad input to the command that writes them is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.regenerate_docs import COMMAND, EVENTS, GENERATED, ROOT, main

FILLED = "ssh_keypair_name: my-key\nssh_key_path: my-key.pem\n"


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_stored_file_is_current(path: Path) -> None:
    text = GENERATED[path]()
    assert path.read_bytes().decode() == text, f"run `{COMMAND}` and commit {path.name}"


def test_the_sample_file_has_the_architecture_of_the_documentation(tmp_path: Path) -> None:
    sample = (ROOT / "sample_config_aws.yaml").read_text(encoding="utf-8")
    file, target = tmp_path / "config.yaml", tmp_path / "new.svg"
    file.write_text(sample.replace("<FILL THIS IN>", "mine"), encoding="utf-8")
    assert main(["architecture", "-y", str(file), "-o", str(target)]) == 0
    assert target.read_bytes() == (ROOT / "docs" / "architecture.svg").read_bytes()


def test_the_architecture_of_another_configuration(tmp_path: Path) -> None:
    file, target = tmp_path / "config.yaml", tmp_path / "new.svg"
    file.write_text(f"{FILLED}vpc_name: Mine\n", encoding="utf-8")
    assert main(["architecture", "-y", str(file), "-o", str(target)]) == 0
    assert "VPC Mine" in target.read_text(encoding="utf-8")


def test_the_timeline_of_an_event_log(tmp_path: Path) -> None:
    target = tmp_path / "new.svg"
    assert main(["timeline", str(EVENTS), "-o", str(target)]) == 0
    assert target.read_bytes() == (ROOT / "docs" / "timeline.svg").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["architecture", "-y"],
        ["architecture", "-o", "b.svg"],
        ["-x", "1"],
        ["a.yaml", "b.svg"],
        ["timeline"],
        ["timeline", "a"],
        ["timeline", "a", "b", "c"],
    ],
)
def test_wrong_arguments_show_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"usage: {COMMAND}")


def test_a_bad_configuration_is_refused_with_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, target = tmp_path / "config.yaml", tmp_path / "new.svg"
    file.write_text(f"{FILLED}vpc_cidr: 1\nnum_ndb_datanodes: many\n", encoding="utf-8")
    assert main(["architecture", "-y", str(file), "-o", str(target)]) == 2
    output = capsys.readouterr().err
    assert "vpc_cidr" in output
    assert "num_ndb_datanodes" in output
    assert not target.exists()


def test_files_that_cannot_be_read_or_written_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, empty = tmp_path / "config.yaml", tmp_path / "empty.jsonl"
    config.write_text(FILLED, encoding="utf-8")
    empty.write_text("")
    missing, unwritable = tmp_path / "none.jsonl", tmp_path / "no" / "such" / "folder.svg"
    for arguments, named in (
        (["timeline", str(missing), "-o", str(tmp_path / "a.svg")], missing),
        (["timeline", str(empty), "-o", str(tmp_path / "a.svg")], empty),
        (["timeline", str(EVENTS), "-o", str(unwritable)], unwritable),
        (["architecture", "-y", str(config), "-o", str(unwritable)], unwritable),
    ):
        assert main(arguments) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert str(named) in line
