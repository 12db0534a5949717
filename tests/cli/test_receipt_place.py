"""Whether a receipt is of another account or region than the run; an unreadable one is of none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aws_setup.cli.receipt_place import of_another_place, refuse_shared_receipt
from aws_setup.config import Config
from aws_setup.config.paths import receipt_path
from aws_setup.errors import Refused

ROLE = '{"aws_region": "us-east-1", "steps": {"role": {"id": "arn:aws:iam::123456789012:role/r"}}}'


def place(folder: Path, receipt: str | None, *, region: str, account: str, verb: str) -> str:
    """Return the warning about a receipt, '' for none."""
    config = Config(
        ssh_keypair_name="k", ssh_key_path="k", infrastructure_json_path=str(folder / "records")
    )
    if receipt is not None:
        receipt_path(config).parent.mkdir()
        receipt_path(config).write_text(receipt, encoding="utf-8")
    aws = SimpleNamespace(
        region=region,
        identity=SimpleNamespace(account=account),
        known_regions=lambda: ["us-east-1", "eu-west-1"],
    )
    ctx: Any = SimpleNamespace(config=config, aws=aws)
    found = of_another_place(ctx)
    if found is None:
        return ""
    problem = found.warning(verb)
    return f"{problem.what} {problem.hint}"


@pytest.mark.kind("A7")
@pytest.mark.parametrize("verb", ["destroy", "status"])
@pytest.mark.parametrize(
    ("receipt", "region", "account", "says"),
    [
        (ROLE, "eu-west-1", "123456789012", "add --region us-east-1"),
        (ROLE, "us-east-1", "210987654321", "another account"),
        (ROLE, "us-east-1", "123456789012", ""),
        (ROLE.replace("us-east-1", "mars-1"), "us-east-1", "123456789012", ""),
        ('{"aws_region": "us-east-1", "steps": {}}', "us-east-1", "210987654321", ""),
        ("{", "eu-west-1", "210987654321", ""),
        ("[]", "eu-west-1", "210987654321", ""),
        (None, "eu-west-1", "210987654321", ""),
    ],
)
def test_a_receipt_is_of_one_account_and_region(
    tmp_path: Path, receipt: str | None, region: str, account: str, says: str, verb: str
) -> None:
    found = place(tmp_path, receipt, region=region, account=account, verb=verb)
    assert says in found if says else found == ""
    assert not found or ("destroy" in found) == (verb == "destroy")


def test_the_receipt_of_another_deployment_is_refused(tmp_path: Path) -> None:
    """A copied configuration with another name: keys and addresses beside it are the other's."""
    path = tmp_path / "x.json"
    keys: dict[str, Any] = {"ssh_keypair_name": "k", "ssh_key_path": "k"}
    config = Config(deployment_name="two", infrastructure_json_path=str(path), **keys)
    refuse_shared_receipt(config)
    for own in ('{"deployment_name": "two"}', "{", "[]", '{"deployment_name": 1}', "{}"):
        path.write_text(own)
        refuse_shared_receipt(config)
    path.write_text('{"deployment_name": "one", "steps": {}}')
    with pytest.raises(Refused) as caught:
        refuse_shared_receipt(config)
    [problem] = caught.value.problems
    assert problem.what == f"infrastructure_json_path: {path} belongs to the deployment one"
    assert "a folder" in problem.hint
    refuse_shared_receipt(Config(deployment_name="one", infrastructure_json_path=str(path), **keys))
