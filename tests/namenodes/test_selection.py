"""The options of the original instructions, and which actions they select."""

from __future__ import annotations

import click
import pytest

from aws_setup.errors import Refused
from aws_setup.namenodes.selection import Selection, select
from whisk_helper import main

ORIGINAL = {
    ("-n", "--num-functions"): -1,
    ("-s", "--starting-index"): 0,
    ("-e", "--ending-index"): -1,
    ("-p", "--prefix"): "namenode",
    ("-c", "--concurrency"): 1,
    ("--create",): False,
    ("--memory",): 256,
    ("--update",): False,
    ("-m", "--main-class"): "org.apache.hadoop.hdfs.serverless.OpenWhiskHandler",
    ("-j", "--path"): "/home/ubuntu/repos/hops/hadoop-hdfs-project/hadoop-hdfs/target/"
    "hadoop-hdfs-3.2.0.3-SNAPSHOT.jar",
    ("-k", "--kind"): "generic-namenode:10",
}
"""Names and defaults as the original script has them."""


def test_every_original_option_has_its_names_and_its_default() -> None:
    context = click.Context(main)
    defaults = {tuple(param.opts): param.get_default(context) for param in main.params}
    assert {names: defaults[names] for names in ORIGINAL} == ORIGINAL


def test_every_option_says_what_it_does() -> None:
    assert [param.name for param in main.params if not getattr(param, "help", "")] == []


@pytest.mark.parametrize(
    ("number", "start", "end", "names"),
    [
        (3, 0, -1, ["nn0", "nn1", "nn2"]),
        (2, 5, -1, ["nn5", "nn6"]),
        (-1, 2, 4, ["nn2", "nn3"]),
        (1, 0, 9, ["nn0"]),
        (0, 0, -1, []),
        (-1, 3, 3, []),
    ],
)
def test_which_names_are_selected(number: int, start: int, end: int, names: list[str]) -> None:
    selection, _ = select(prefix="nn", number=number, start=start, end=end, needed=True)
    assert selection.names == names


@pytest.mark.parametrize(
    ("number", "start", "end"), [(-1, 0, -1), (-2, 0, -1), (1, -1, -1), (-1, 5, 4), (99_999, 0, -1)]
)
def test_invalid_ranges_are_refused(number: int, start: int, end: int) -> None:
    with pytest.raises(Refused):
        select(prefix="nn", number=number, start=start, end=end, needed=True)


@pytest.mark.parametrize("prefix", ["", "nn1", "a/b", "-nn", "n" * 256, "ñ", "nn\n"])
def test_prefixes_that_are_invalid_or_ambiguous_are_refused(prefix: str) -> None:
    with pytest.raises(Refused):
        select(prefix=prefix, number=1, start=0, end=-1, needed=True)


def test_surplus_are_the_same_prefix_s_indices_outside_the_range() -> None:
    existing = ["nn0", "nn1", "nn2", "nn10", "nn01", "nn", "nnx", "other0", "nn" + "9" * 5000]
    selection = Selection("nn", 1, 2)
    assert selection.pick(existing) == ["nn1"]
    assert selection.surplus(existing) == ["nn0", "nn2", "nn10"]
    assert Selection("nn").pick(existing) == ["nn0", "nn1", "nn2", "nn10"]
