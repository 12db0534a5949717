"""The second script with a chart that is not part of this project, on the emulated cluster.

`LAMBDA_FS_TEST_CHART=~/openwhisk-deploy-kube/helm/openwhisk pytest tests/scripts/…` runs it with a
checkout of the chart that λFS uses (facts and address in docs/configure.md); without the variable
this module has no tests.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from aws_setup.rehearsal.core.server import RehearsalCloud
from tests.scripts.test_configure import release_of
from tests.scripts.test_configure_keeps_actions import delete_jobs, new_chart_version, register
from tests.support.cluster import lab

VARIABLE = "LAMBDA_FS_TEST_CHART"
CHART = os.environ.pop(VARIABLE, "")
"""The folder. The scripts refuse a variable LAMBDA_FS_… that is none of their keys, so it goes."""


def check_a_chart(
    folder: Path, cloud: RehearsalCloud, patch: pytest.MonkeyPatch, helm: str
) -> None:
    """Configure, again, upgrade with what is registered kept, repair, destroy."""
    with lab(cloud, folder / "laptop", patch, full=True, helm=helm) as zoo:
        copy = zoo.folder / "chart"
        shutil.rmtree(copy)
        shutil.copytree(Path(CHART).expanduser(), copy)
        zoo.run("configure")
        assert release_of(zoo)["version"] == "1"
        actions = register(zoo)
        assert {step["action"] for step in zoo.run("configure")["steps"]} == {"exists"}
        new_chart_version(zoo)
        delete_jobs(zoo)
        zoo.run("configure")
        assert zoo.whisk.store.actions == actions

        pod = zoo.api.state.get("pods", "owdev-wskadmin", "openwhisk")
        if pod:
            zoo.api.state.remove("pods", pod)
            zoo.run("configure")
            assert "owdev-wskadmin" in zoo.objects("pods")
        file = zoo.folder / "mine.yaml"
        file.write_text(yaml.safe_dump({"whisk": {"runtimes": "no-such-file.json"}}))
        zoo.save(openwhisk_values=str(file))
        assert "runtimes" in zoo.run("configure", code=1)["problems"][0]["what"]
        assert zoo.run("destroy")["leftovers"] == []


if CHART:

    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("helm", ["3.17", "4.3"])
    def test_the_real_chart_is_installed_upgraded_repaired_and_removed(
        cloud: RehearsalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helm: str
    ) -> None:
        check_a_chart(tmp_path, cloud, monkeypatch, helm)
