"""Every command says that the deployment on this computer is in another account or region."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_setup.rehearsal.core.server import RehearsalCloud
from create_aws_infrastructure import SCRIPT
from tests.support.preflight import only
from tests.support.scripts import prepare, run

OTHER_KEY, OTHER_ACCOUNT = "AKIAOTHER00000000000", "210987654321"


def test_status_and_plan_elsewhere_say_where_the_deployment_is(
    cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(tmp_path / "work", **only("create_lambda_fs_client_vm"))
    cloud.settings.accounts = {OTHER_KEY: OTHER_ACCOUNT}
    assert run(SCRIPT, folder, "create", "--yes", "--json").exit_code == 0

    def warnings(*words: str) -> str:
        document = run(SCRIPT, folder, *words, "--json").document
        return " ".join(warning["what"] + warning["hint"] for warning in document["warnings"])

    assert "was created in" not in warnings("status")
    assert "add --region us-east-1" in warnings("status", "--region", "us-west-2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", OTHER_KEY)
    for verb in ("status", "plan"):
        assert "in another account than that of these credentials" in warnings(verb)
