"""YAML for programs in Go: what is a text stays one."""

from __future__ import annotations

import pytest
import yaml

from aws_setup.engine import go_yaml

# https://github.com/go-yaml/yaml/blob/v2.4.0/resolve.go: none of these is a text without quotes.
LIKE_OTHERS = (
    *("4711e08", "0899", "1_000", "-_5", "+.5", "1e3", "0x1f", "0o17", "0b1", ".inf", "1:30"),
    *("y", "Y", "n", "N", "yes", "Off", "true", "~", "null", "", "2024-01-01", "<<", "="),
)


@pytest.mark.parametrize("text", LIKE_OTHERS)
def test_texts_that_look_like_something_else_are_quoted(text: str) -> None:
    assert go_yaml.dump({"tag": text}) == f"tag: '{text}'\n"
    assert yaml.safe_load(go_yaml.dump([{text: text}])) == [{text: text}]


@pytest.mark.parametrize(
    ("value", "written"),
    [("v1", "v1"), ("--region", "--region"), (5, "5"), (-1.5, "-1.5"), (True, "true")],
)
def test_other_values_are_written_as_before(value: object, written: str) -> None:
    assert go_yaml.dump({"a": value}) == f"a: {written}\n"
