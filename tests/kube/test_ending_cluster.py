"""What is said of the API server of a cluster that is about to be deleted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast

import pytest

from aws_setup.aws.session import Aws
from aws_setup.kube import connect
from aws_setup.kube.errors import HINTS, KubeUnreachable, to_kube_error
from tests.support.fake_machines import fake_context

DENIED = '{"message": "namespaces is forbidden: it cannot get resource"}'


@pytest.mark.parametrize(
    ("status", "body"), [(401, "Unauthorized"), (403, DENIED)], ids=["401", "403"]
)
def test_a_server_that_refuses_keeps_the_fix_of_its_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: str
) -> None:
    """The network and a proxy are no fix of a refused token."""

    class Refusing:
        def get(self, *_: object) -> NoReturn:
            raise to_kube_error("GET", "/api/v1/namespaces/kube-system", status, body)

    monkeypatch.setattr(connect, "_client", lambda _: Refusing())
    aws = cast(Aws, type("NoAws", (), {})())
    ctx = replace(fake_context(tmp_path, {}), aws=aws, cluster_ends=True)
    for _ in range(2):
        with pytest.raises(KubeUnreachable) as caught:
            connect.kube_client(ctx)
        assert caught.value.problems[0].hint == HINTS[status]
        assert f"({status})" in caught.value.problems[0].why
