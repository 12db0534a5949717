"""Add-ons: what is drift, what is owned, and what a row of the table means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.aws.tags import DEPLOYMENT_TAG
from aws_setup.eks import addons
from aws_setup.eks.addon_specs import ADDONS
from aws_setup.eks.addons import UPDATE_AGAIN, addon_step
from aws_setup.engine.step import DriftKey, Found

SPECS = {spec.name: spec for spec in ADDONS}
EBS = addon_step(SPECS["aws-ebs-csi-driver"])
ROLE = "arn:aws:iam::123456789012:role/zoo-ebs-csi"


def context(*, owned_only: bool = False, role: str = ROLE) -> Any:
    config = SimpleNamespace(
        deployment_name="lambda-fs", eks_cluster_name="zoo", eks_addon_versions={}
    )
    found = {"ebs csi role": Found(role)}
    return SimpleNamespace(config=config, found=found, owned_only=owned_only)


def addon(status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "addonVersion": "v1.2",
        "serviceAccountRoleArn": ROLE,
        "tags": {DEPLOYMENT_TAG: "lambda-fs"},
    } | more


def find(monkeypatch: pytest.MonkeyPatch, item: dict[str, Any] | None, ctx: Any) -> Found | None:
    monkeypatch.setattr(addons, "describe", lambda *_: item)
    monkeypatch.setattr(addons, "active_cluster", lambda _: None)
    return EBS.find(ctx)


def test_an_add_on_as_configured_has_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find(monkeypatch, addon(), context())
    assert found is not None
    assert (found.state, found.ready, found.drift) == ("ACTIVE v1.2", True, ())


def test_another_role_is_drift_and_unknown_before_the_role_exists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = find(monkeypatch, addon(serviceAccountRoleArn=""), context())
    assert found is not None
    assert [(item.what, item.has, item.wants) for item in found.drift] == [("role", "none", ROLE)]
    ctx = context()
    ctx.found.clear()
    found = find(monkeypatch, addon(serviceAccountRoleArn=""), ctx)
    assert found is not None
    assert found.drift == ()


@pytest.mark.parametrize("status", ["CREATE_FAILED", "DELETE_FAILED", "DELETING"])
def test_an_add_on_to_re_create_has_the_drift_key_status(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    issue = {"code": "AccessDenied", "message": "no permission"}
    found = find(monkeypatch, addon(status, health={"issues": [issue]}), context())
    assert found is not None
    assert [item.key for item in found.drift] == [DriftKey.STATUS]
    assert found.drift[0].has == f"{status} AccessDenied: no permission"
    assert found.facts["notes"] == ["AccessDenied: no permission"]
    assert not found.ready


def test_an_add_on_whose_update_failed_is_updated_with_all_that_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = addon("UPDATE_FAILED", serviceAccountRoleArn="")
    found = find(monkeypatch, failed, context())
    assert found is not None
    assert [item.what for item in found.drift] == ["status", "role"]
    assert [item.key for item in found.drift] == [UPDATE_AGAIN, DriftKey.OTHER]


@pytest.mark.parametrize("tags", [{}, {DEPLOYMENT_TAG: "other"}])
def test_an_unowned_add_on_is_used_but_not_found_by_destroy(
    monkeypatch: pytest.MonkeyPatch, tags: dict[str, str]
) -> None:
    assert find(monkeypatch, addon(tags=tags), context()) is not None
    assert find(monkeypatch, addon(tags=tags), context(owned_only=True)) is None
    assert find(monkeypatch, addon(), context(owned_only=True)) is not None
    assert find(monkeypatch, None, context()) is None
