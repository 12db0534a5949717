"""Configurations from the schema: accepted or refused with a fix, planned without a write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, PLANNED, CREATED = 100, 2, 1

TRIES = f"""
import json, sys
from pathlib import Path
from tests.trust.fuzz.runs import created, load, planned
from tests.trust.permissions import operator

accepted, why = load(Path(sys.argv[1]), number={EXAMPLES}, seed=1)
with operator() as user:
    user.cloud.settings.policies = []
    plans = [planned(user, made) for made in accepted[-{PLANNED}:]]
    creates = [created(user, made) for made in accepted[-{CREATED}:]]
print(json.dumps([len(accepted), why, plans, creates]))
"""


def test_a_configuration_from_the_schema_is_accepted_or_refused_with_a_fix(tmp_path: Path) -> None:
    """In a process of its own: what Hypothesis knows of the schema takes 100 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(tmp_path)],
        cwd=ROOT,
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    )
    accepted, why, plans, creates = json.loads(done.stdout)
    assert why == ""
    assert accepted >= EXAMPLES // 2
    assert plans == [""] * PLANNED
    assert creates == [""] * CREATED
