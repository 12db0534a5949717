"""The models of AWS's services that all tests of a process share are those of botocore."""

from __future__ import annotations

import copy
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import deep_merge
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
