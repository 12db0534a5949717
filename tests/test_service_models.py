"""The models of AWS's services that all tests of a process share are those of botocore."""

from __future__ import annotations

import copy
from typing import Any

import boto3
import botocore.hooks
import botocore.parsers
import pytest
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import deep_merge, parse_timestamp
from moto.core.utils import get_service_model

from tests.support.service_models import SharedFiles, merged, slim

MODEL: dict[str, Any] = {
    "documentation": "long",
    "shapes": {
        "documentation": {"type": "string", "documentation": "a shape of this name"},
        "A": {"members": {"x": {"shape": "S", "documentation": "1"}, "y": {"shape": "S"}}},
        "B": {"flag": True, "number": 1, "list": ["S", {"shape": "S"}]},
        "C": {"flag": 1},
        "D": {"members": {"Filters": {"shape": "F", "documentation": "which there are"}}},
    },
}


def without_texts(value: Any, *, documented: bool = False) -> Any:
    if isinstance(value, list):
        return [without_texts(item) for item in value]
    if not isinstance(value, dict):
        return value
    texts = {
        key: ""
        for key, item in value.items()
        if key == "documentation" and isinstance(item, str) and not documented
    }
    filters = ("Filter", "Filters")
    return {k: without_texts(item, documented=k in filters) for k, item in value.items()} | texts


def test_only_texts_of_documentation_are_left_out() -> None:
    found = slim(copy.deepcopy(MODEL), {})
    assert repr(found) == repr(without_texts(MODEL))
    assert found["shapes"]["D"]["members"]["Filters"]["documentation"] == "which there are"
    shared = found["shapes"]["A"]["members"]["y"]
    assert shared is found["shapes"]["B"]["list"][1]
    with pytest.raises(TypeError, match="is shared"):
        shared["a"] = "b"
    with pytest.raises(TypeError, match="is shared"):
        shared.setdefault("a", "b")


def test_extras_are_merged_as_botocore_does_and_the_model_stays() -> None:
    extra = {"shapes": {"A": {"members": {"z": {"shape": "Z"}}}, "E": {"x": 1}}, "version": "2"}
    before, expected = copy.deepcopy(MODEL), copy.deepcopy(MODEL)
    deep_merge(expected, extra)
    assert merged(MODEL, extra) == expected
    assert before == MODEL


def test_a_client_has_the_model_of_its_service_without_what_moto_adds() -> None:
    """To EC2's model moto adds."""
    loader = Loader()
    loader.file_loader = JSONFileLoader()
    plain = loader.load_service_model("ec2", "service-2")
    get_service_model("ec2")
    made: Any = boto3.client("ec2", region_name="us-east-1")
    shared = made.meta.service_model._service_description
    assert isinstance(Loader().file_loader, SharedFiles)
    assert shared == without_texts(plain)


def test_what_botocore_adds_to_an_endpoint_is_in_no_other() -> None:
    """It completes what it has read of a region, which is empty for most services."""
    names = {"scheduler": "scheduler", "sts": "sts", "service-quotas": "servicequotas"}
    for service in ("sts", "iam", "eks", *names):
        made: Any = boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]
        assert made._request_signer._signing_name == names.get(service, service)


def test_times_and_copied_handlers_are_those_of_botocore() -> None:
    parse: Any = botocore.parsers.DEFAULT_TIMESTAMP_PARSER
    values: Any = ("2026-01-02T03:04:05.678Z", "Mon, 02 Jan 2006 15:04:05 GMT", 1, 1.0, "1.5")
    for value in values:
        assert parse(value) == parse_timestamp(value) == parse(value)
    with pytest.raises(ValueError, match="Invalid timestamp"):
        parse("yesterday")
    hooks: Any = botocore.hooks
    trie = hooks._PrefixTrie()
    trie.append_item("a.b", 1, section=0)
    trie.append_item("a.*", 2)
    copied = copy.copy(trie)
    copied.append_item("a.b", 3)
    assert sorted(trie.prefix_search("a.b")) == [1, 2]
    assert sorted(copied.prefix_search("a.b")) == [1, 2, 3]
