"""namenode_image: the chart's runtimes with another image, and nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_setup.errors import Refused
from aws_setup.openwhisk.chart import Chart
from aws_setup.openwhisk.namenode_image import image_fields, with_namenode_runtimes

RUNTIMES: dict[str, Any] = {
    "description": ["kept"],
    "runtimes": {
        "nodejs": [{"kind": "nodejs:20", "image": {"prefix": "openwhisk", "name": "node"}}],
        "generic-namenode": [
            {"kind": f"generic-namenode:{concurrency}", "image": {"name": "java8action"}}
            for concurrency in (10, 5)
        ],
    },
}


@pytest.fixture
def chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chart:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: o, version: 1.0.0}\n")
    (folder / "values.yaml").write_text(yaml.safe_dump({"whisk": {"runtimes": "mine.json"}}))
    (folder / "mine.json").write_text(json.dumps(RUNTIMES))
    return Chart(folder, "source commit")


def with_image(chart: Chart, values: Mapping[str, Any], image: str) -> tuple[Chart, dict[str, Any]]:
    return with_namenode_runtimes(chart, values, image=image, memory=None)


def write_cells(chart: Chart) -> None:
    """Give the chart's kinds the stem cells of λFS's chart, and Node.js some of its own."""
    document = json.loads(json.dumps(RUNTIMES))
    for family, memory in (("generic-namenode", "40000 MB"), ("nodejs", "256 MB")):
        for kind in document["runtimes"][family]:
            kind["stemCells"] = [{"initialCount": 2, "memory": memory}]
    (chart.path / "mine.json").write_text(json.dumps(document))


def test_stem_cells_have_the_memory_of_a_namenode_and_other_kinds_of_it_none(chart: Chart) -> None:
    write_cells(chart)
    copy, values = with_namenode_runtimes(chart, {}, image=None, memory=20_000)
    written = json.loads((copy.path / values["whisk"]["runtimes"]).read_text())["runtimes"]
    ten, five = written["generic-namenode"]
    assert ten["stemCells"] == [{"initialCount": 2, "memory": "20000 MB"}]
    assert "stemCells" not in five
    assert ten["image"] == {"name": "java8action"}
    assert written["nodejs"][0]["stemCells"] == [{"initialCount": 2, "memory": "256 MB"}]


def test_the_chart_stays_where_nothing_differs_or_nothing_can_be_changed(chart: Chart) -> None:
    assert with_namenode_runtimes(chart, {"a": 1}, image=None, memory=8000) == (chart, {"a": 1})
    write_cells(chart)
    assert with_namenode_runtimes(chart, {"a": 1}, image=None, memory=None) == (chart, {"a": 1})
    for text in ("no json", '{"runtimes": {}}'):
        (chart.path / "mine.json").write_text(text)
        assert with_namenode_runtimes(chart, {}, image=None, memory=8000) == (chart, {})


def test_only_the_namenodes_have_the_image(chart: Chart) -> None:
    copy, values = with_image(chart, {"whisk": {"auth": {}}}, "me/mine:2")
    assert copy.pin == chart.pin
    assert copy.path != chart.path
    name = values["whisk"].pop("runtimes")
    assert values == {"whisk": {"auth": {}}}
    written = json.loads((copy.path / name).read_text())
    image = {"prefix": "me", "name": "mine", "tag": "2"}
    for kind in written["runtimes"]["generic-namenode"]:
        assert kind.pop("image") == image
    before = json.loads((copy.path / "mine.json").read_text())
    for kind in before["runtimes"]["generic-namenode"]:
        del kind["image"]
    assert written == before
    assert not (chart.path / name).exists()


def test_the_same_image_has_the_same_values_and_another_one_others(chart: Chart) -> None:
    first = with_image(chart, {}, "me/mine:2")
    assert with_image(chart, {}, "me/mine:2") == first
    assert with_image(chart, {}, "me/mine:3")[1] != first[1]


@pytest.mark.parametrize("text", ['{"runtimes": {}}', "[]", "no json"])
def test_a_chart_without_the_kinds_is_refused(chart: Chart, text: str) -> None:
    (chart.path / "mine.json").write_text(text)
    with pytest.raises(Refused, match=r"namenode_image.*mine\.json"):
        with_image(chart, {}, "me/mine:2")
    with pytest.raises(Refused, match=r"none\.json"):
        with_image(chart, {"whisk": {"runtimes": "none.json"}}, "me/mine:2")


@pytest.mark.parametrize(
    ("image", "fields"),
    [
        ("mine", ("", "mine", "latest")),
        ("scusemua/java8action:latest", ("scusemua", "java8action", "latest")),
        ("host:5000/team/nn:1", ("host:5000/team", "nn", "1")),
        (
            "1.dkr.ecr.example.com/nn",
            ("1.dkr.ecr.example.com", "nn", "latest"),
        ),
    ],
)
def test_the_parts_of_an_image(image: str, fields: tuple[str, str, str]) -> None:
    found = image_fields(image)
    assert (found.get("prefix", ""), found["name"], found["tag"]) == fields
