"""The text of sample_config_aws.yaml and of its JSON Schema, generated from the config model."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from aws_setup.config.base import Section
from aws_setup.config.descriptions import descriptions
from aws_setup.config.eks import Eks
from aws_setup.config.general import General
from aws_setup.config.model import Config
from aws_setup.config.network import Network
from aws_setup.config.openwhisk import OpenWhisk
from aws_setup.config.profiles import profile_values
from aws_setup.config.software import Software
from aws_setup.config.vms import Vms

SECTIONS: tuple[type[Section], ...] = (General, Network, Eks, Vms, Software, OpenWhisk)

HEAD = """\
# yaml-language-server: $schema=docs/config.schema.json
#
# Copy this file to config_aws.yaml and fill in the two placeholders; every other key has a default.
# All three scripts read it. A key that is commented out shows an example, or its value in the
# profile "paper"; the values in other profiles are in brackets.
# Flags override the environment (LAMBDA_FS_<KEY>, AWS_REGION, AWS_PROFILE), which overrides this
# file. Relative paths start from the folder of this file.
"""

WIDTH = 96
"""Longest line of a comment, in characters."""


def sample_text() -> str:
    """Return the sample configuration: every key with its description and its default."""
    return HEAD + "".join(_section(section) for section in SECTIONS)


def schema_text() -> str:
    """Return the JSON Schema of the configuration file, for editors."""
    schema = Config.model_json_schema()
    for key, text in descriptions(Config).items():
        schema["properties"][key]["description"] = text
    schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the λFS AWS setup",
    }
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _section(section: type[Section]) -> str:
    title = " ".join((section.__doc__ or "").split()).removesuffix(".")
    lines = ["", "#" * WIDTH, *_comment(title), "#" * WIDTH]
    for key in section.__annotations__:
        lines += ["", *_key(key, section.model_fields[key])]
    return "\n".join(lines) + "\n"


def _key(key: str, field: FieldInfo) -> Iterator[str]:
    sizes = profile_values(key)
    text = " ".join(descriptions(Config)[key].split())
    if sizes:
        listed = ", ".join(f"{name}: {_yaml(value)}" for name, value in sizes.items())
        text += f" ({listed})"
    yield from _comment(text)
    if field.is_required():
        yield f"{key}: <FILL THIS IN>"
    elif field.default is None:
        example = f" {_yaml(field.examples[0])}" if field.examples else ""
        yield f"# {key}:{example}"
    else:
        yield f"{'# ' if sizes else ''}{key}: {_yaml(field.default)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH)]


def _yaml(value: Any) -> str:
    """Return a value in YAML's flow notation."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool | int | float):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)
