"""Service models are those of botocore's own loader, found without a search in all services."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader

from aws_setup.aws.service_models import ModelFiles, ServiceModels
from aws_setup.aws.session import Aws


@pytest.mark.parametrize("service", ["ec2", "eks", "elbv2", "service-quotas", "scheduler"])
def test_a_client_opens_the_folders_of_its_own_service_only(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    opened: list[Path] = []
    list_folder = os.listdir

    def listdir(path: Any = ".") -> list[str]:
        opened.append(Path(path))
        return list_folder(path)

    monkeypatch.setattr(os, "listdir", listdir)
    client = Aws(region="us-east-1").client(service)
    assert client.meta.service_model.operation_names
    assert "data" in {path.name for path in opened}, "botocore's folder of models"
    services = {path.name for path in opened if path.parent.name == "data"}
    assert services == {service}


def test_the_models_are_those_of_botocore(tmp_path: Path) -> None:
    """Also a model that the user has added, and what is said of a service that does not exist."""
    added = tmp_path / "own-service" / "2020-01-01"
    added.mkdir(parents=True)
    (added / "service-2.json").write_text('{"metadata": {}}', encoding="utf-8")
    ours, theirs = (kind([str(tmp_path)]) for kind in (ServiceModels, Loader))
    for service, kind in (
        ("iam", "service-2"),
        ("iam", "paginators-1"),
        ("own-service", "service-2"),
    ):
        assert ours.load_service_model(service, kind) == theirs.load_service_model(service, kind)
    with pytest.raises(UnknownServiceError, match="no-service"):
        ours.load_service_model("no-service", "service-2")
    with pytest.raises(DataNotFoundError):
        ours.load_service_model("own-service", "paginators-1")


@pytest.mark.parametrize(
    "name", ["endpoints", "sts/2011-06-15/service-2", "iam/2010-05-08/waiters-2"]
)
def test_a_model_is_read_as_botocore_reads_it_in_the_same_order(name: str) -> None:
    path = str(Path(Loader.BUILTIN_DATA_PATH, name))
    ours, theirs = ModelFiles().load_file(path), JSONFileLoader().load_file(path)
    assert json.dumps(ours) == json.dumps(theirs)
    assert type(ours) is dict


def test_a_model_is_found_with_either_suffix_or_not_at_all(tmp_path: Path) -> None:
    files = ModelFiles()
    assert files.load_file(str(tmp_path / "none")) is None
    (tmp_path / "plain.json").write_text('{"λ": 1}', encoding="utf-8")
    assert files.load_file(str(tmp_path / "plain")) == {"λ": 1}
    (tmp_path / "packed.json").mkdir()
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(b'{"x": 2}'))
    assert files.load_file(str(tmp_path / "packed")) == {"x": 2}
    assert files.load_file(str(tmp_path / "plain.json" / "below")) is None
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1"):
        files.load_file(str(tmp_path / "broken"))
