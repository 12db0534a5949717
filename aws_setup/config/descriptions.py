"""The descriptions of the keys: the docstrings below the fields of the model."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise

from aws_setup.config.base import Section


@functools.cache
def descriptions(model: type[Section]) -> Mapping[str, str]:
    """Return the description of each key of a model, read from its source.

    pydantic's `use_attribute_docstrings` parses the source of each section when it is imported:
    25 ms in every run, and only the sample and the errors of a configuration need a description.
    """
    found: dict[str, str] = {}
    for section in reversed(model.__mro__):
        if issubclass(section, Section):
            found |= dict(_described(section))
    return found


def _described(section: type[Section]) -> Iterator[tuple[str, str]]:
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in pairwise(definition.body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(docstring))),
            ):
                yield key, inspect.cleandoc(docstring)
