"""Answers are those of moto's own serialisers, byte by byte."""

from __future__ import annotations

import types
from typing import Any

import pytest
from moto.core import parse, serialize

from aws_setup.rehearsal.aws.ec2.lookup import AddressLottery
from aws_setup.rehearsal.core import moto_answers
from aws_setup.rehearsal.core.protocol import operation_model

XMLTODICT: Any = serialize.xmltodict
PARSER: Any = parse.QueryParser
SERIALIZER: Any = serialize.EC2Serializer

BODIES: tuple[dict[str, Any], ...] = (
    {"A": None},
    {"A": {}},
    {"A": {"@xmlns": "http://x/?a=1&b=\"2'"}},
    {"A": {"@xmlns": "u", "b": "", "c": "<&>\"'", "d": None, "e": 7, "f": True, "g": False}},
    {"A": {"list": [], "more": ["x", "", None, {}], "deep": {"item": [{"k": 1}, {"k": [2, 3]}]}}},
    {"A": {"pair": ("x", "y"), "float": 1.5, "none": [], "text": "é\n\t "}},
)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("body", BODIES)
def test_the_xml_is_that_of_xmltodict(body: dict[str, Any], declared: bool) -> None:
    expected = XMLTODICT.unparse(body, full_document=declared, short_empty_elements=True)
    assert moto_answers._body(None, body, declared=declared) == expected


class Vpc:
    """A result with names that moto derives from the member's: of the class, of the shape."""

    Meta = types.SimpleNamespace(serialization_aliases={"State": "now"})
    id = "vpc-1"
    cidr_block = "10.0.0.0/16"
    now = "available"
    is_default = "hidden"
    tags = ()


def test_members_are_found_under_the_names_that_moto_tries() -> None:
    found: dict[tuple[str, str], Any] = {}

    class Both(SERIALIZER):  # type: ignore[misc]  # moto has no types
        def get_value(self, value: Any, key: str, shape: Any) -> Any:
            mine: Any = moto_answers._value(self, value, key, shape)
            context = serialize.AttributePickerContext(
                obj=value, key=key, shape=shape, key_path=".".join(self.path)
            )
            assert mine == self._value_picker(context)
            found[type(value).__name__, key] = mine
            return mine

    for value in (Vpc(), {"VpcId": "vpc-2", "cidr_block": "c", "State": None, "IsDefault": "no"}):
        picker = serialize.XFormedAttributePicker(
            response_transformers={"Vpcs.Vpc.IsDefault": str.upper, "State": str}
        )
        Both(operation_model=operation_model("ec2", "DescribeVpcs"), value_picker=picker).serialize(
            {"Vpcs": [value]}
        )
    assert found["Vpc", "VpcId"] == "vpc-1"
    assert found["Vpc", "State"] == "available"
    assert (found["dict", "VpcId"], found["dict", "CidrBlock"]) == ("vpc-2", "c")
    assert (found["Vpc", "IsDefault"], found["dict", "IsDefault"]) == ("HIDDEN", "NO")


def test_each_number_is_drawn_once_and_only_when_it_is_asked_for() -> None:
    lottery = AddressLottery()
    assert sorted(lottery.draw(300)) == list(range(300))
    assert 0 <= next(lottery.draw(10**12)) < 10**12


def test_a_structure_is_absent_when_no_name_begins_with_its_prefix() -> None:
    parameters = {"Filter.1.Name": "x", "Filter.10.Name": "y", "Tag": "z"}
    parser = PARSER(operation_model("ec2", "DescribeVpcs"))
    for prefix in ("", "Filter", "Filter.1", "Filter.2", "Tag", "Tag.1", "A", "Z"):
        expected = prefix != "" and not any(name.startswith(prefix) for name in parameters)
        assert moto_answers._is_absent(parser, parameters, prefix) == expected, prefix
