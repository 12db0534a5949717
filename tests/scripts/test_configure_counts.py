"""What configure starts, makes and asks: counted where it arrives, in fresh and later runs."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.support.cluster import Lab, lab

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def zoo(cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with lab(cloud, tmp_path / "laptop", monkeypatch) as made:
        yield made


class Counts:
    """The starts of helm, the clients of AWS and the RSA keys that a run makes."""

    def __init__(self, zoo: Lab, patch: pytest.MonkeyPatch) -> None:
        self.zoo, self.clients, self.keys = zoo, Counter[str](), 0
        self._log = zoo.folder / "helm-commands"
        program = zoo.folder / "bin" / "helm"
        real = program.readlink()
        program.unlink()
        program.write_text(f'#!/bin/sh\necho "$1" >> {self._log}\nexec {real} "$@"\n')
        program.chmod(0o755)
        client, key = botocore.session.Session.create_client, rsa.generate_private_key

        def create_client(session: Any, service: str, *rest: Any, **more: Any) -> Any:
            self.clients[service] += 1
            return client(session, service, *rest, **more)

        def generate(**options: Any) -> Any:
            # The emulated AWS makes keys, too.
            caller = sys._getframe(1).f_globals["__name__"]
            self.keys += caller.startswith("aws_setup.openwhisk")
            return key(**options)

        patch.setattr(botocore.session.Session, "create_client", create_client)
        patch.setattr(rsa, "generate_private_key", generate)

    def run(self, *words: str) -> Counter[str]:
        """Run the script, and return how often it started each command of helm."""
        self._log.write_text("")
        self.clients.clear()
        self.keys = 0
        self.zoo.api.requests.clear()
        self.zoo.run(*words)
        return Counter(self._log.read_text().split())


def test_helm_keys_clients_and_requests_of_fresh_unchanged_and_update(
    zoo: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counts(zoo, monkeypatch)
    # The address needs the chart's Service before the release can be rendered with its name.
    assert counts.run("configure") == {"version": 1, "template": 2, "upgrade": 1}
    assert counts.keys == 1, "the certificate's"
    # That of the run lock, of permissions, which fail soon, and of EKS's tokens.
    most = {"ssm": 2, "iam": 2, "sts": 2}
    assert {name: n for name, n in counts.clients.items() if n > most.get(name, 1)} == {}

    assert counts.run("configure") == {}, "the records of the release tell what is installed"
    assert counts.keys == 0
    services = {"sts", "ssm", "eks", "ec2", "autoscaling", "iam", "scheduler"}
    assert set(counts.clients) <= services | {"elb"}, "the last: whom OpenWhisk's balancer lets in"
    assert counts.clients.pop("sts") <= 2, "that of the tokens signs for another endpoint"
    assert max(counts.clients.values()) == 1
    asked = [(method, path) for method, path, _ in zoo.api.requests]
    assert {method for method, _ in asked} == {"GET"}
    assert len(asked) == len(set(asked)), "each question once, however many steps ask it"
    assert len(asked) <= 21
    single = re.compile(r"/namespaces/openwhisk/[a-z]+/.")
    assert not [path for _, path in asked if single.search(path)], "lists hold what they are"

    values = zoo.folder / "values.yaml"
    values.write_text("whisk: {limits: {actionsInvokesPerminute: 99}}\n")
    zoo.save(openwhisk_values=str(values))
    # With the job that initialises the database, and without it once it is initialised.
    # This process has asked that helm for its version before.
    assert counts.run("configure") == {"template": 2, "upgrade": 1}
    assert counts.keys == 0, "the certificate stays"
