"""Configurations from the schema: accepted or refused with a fix, planned without a write."""

from __future__ import annotations

import json
import random
from pathlib import Path

from aws_setup.config import load_config
from aws_setup.errors import Refused
from tests.support.preflight import one_line
from tests.trust.fuzz.configurations import configuration
from tests.trust.fuzz.search import shown
from tests.trust.permissions import operator

EXAMPLES, PLANNED = 150, 4


def test_a_configuration_from_the_schema_is_accepted_or_refused_with_a_fix(tmp_path: Path) -> None:
    dice, accepted = random.Random(1), []
    for _ in range(EXAMPLES):
        made = configuration(dice)
        path = tmp_path / "config_aws.yaml"
        keys = {"ssh_keypair_name": "k", "ssh_key_path": "k.pem", **made}
        path.write_text("".join(f"{key}: {json.dumps(it)}\n" for key, it in keys.items()))
        try:
            load_config(path)
            accepted.append(made)
        except Refused as error:
            assert shown(error) == "", made
    assert len(accepted) >= EXAMPLES // 2, len(accepted)
    with operator() as user:
        user.cloud.settings.policies = []
        for made in accepted[:PLANNED]:
            ended = user.run("plan", **made)
            assert ended["exit_code"] in (0, 2), (made, ended["problems"])
            assert len(user.cloud.calls.writes()) == user.writes_before, made
            for problem in ended["problems"]:
                assert problem["hint"] and "with -v for details" not in problem["hint"], one_line(
                    problem
                )
