"""Loads the configuration: flag over environment over file over default, every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from aws_setup.config import deprecated_keys, messages
from aws_setup.config.base import FOLDERS
from aws_setup.config.cross_checks import refusals
from aws_setup.config.model import Config
from aws_setup.config.yaml_source import YamlValue, flow_entry, read_entries
from aws_setup.errors import Problem, Refused

PREFIX = "LAMBDA_FS_"
"""LAMBDA_FS_<KEY>, the key in capitals, overrides a key of the file."""

AWS_VARIABLES = {
    "AWS_DEFAULT_REGION": "aws_region",
    "AWS_REGION": "aws_region",
    "AWS_PROFILE": "aws_profile",
}
"""AWS's own variables that override a key of the file; later ones win."""

NOTHING: Mapping[str, Any] = MappingProxyType({})
FIELDS = Config.model_fields


def load_config(
    path: Path,
    *,
    overrides: Mapping[str, Any] = NOTHING,
    environ: Mapping[str, str] = NOTHING,
) -> Config:
    """Return the configuration in `path`.

    Args:
        path: the YAML file; relative paths in it start from its folder.
        overrides: what flags say, by key; None is a flag that was not given.
        environ: the environment; LAMBDA_FS_<KEY> and AWS_REGION, AWS_PROFILE override the file.

    Raises:
        Refused: with every problem of the file, its line and its column.
    """
    path = path.expanduser().absolute()
    found, faults = _from_file(path)
    for more, wrong in (_from_environment(environ), _from_flags(overrides)):
        found |= more
        faults += wrong
    values, wrong, bad = _values(found)
    faults += wrong + [
        messages.missing(key, path.name, field)
        for key, field in FIELDS.items()
        if field.is_required() and key not in found
    ]
    config, wrong, worse = _validated(values, found, path)
    faults += wrong
    faults += _across(config, found, path.name, without=bad | worse)
    if faults:
        raise Refused.all(messages.in_file_order(faults))
    return config


def shadowed_settings(
    path: Path, *, overrides: Mapping[str, Any] = NOTHING, environ: Mapping[str, str] = NOTHING
) -> list[Problem]:
    """Return a warning for each key of the file that AWS's own variables overrule unasked.

    LAMBDA_FS_<KEY> and flags are meant for this program; AWS_REGION may be left from other work.
    """
    found, _ = _from_file(path.expanduser().absolute())
    meant = {key for key, value in overrides.items() if value is not None}
    meant |= {key for key in FIELDS if environ.get(PREFIX + key.upper())}
    last = {key: name for name, key in AWS_VARIABLES.items() if environ.get(name)}
    said = []
    for key, name in last.items():
        wants = found[key].read(natural=False) if key in found and key not in meant else None
        if wants and wants != environ[name]:
            why = f"it is {environ[name]}, and {path.name} says {key}: {wants}"
            said.append(
                Problem(f"{name} of the environment counts, not {key}", why, f"unset {name}")
            )
    return said


def _from_file(path: Path) -> tuple[dict[str, YamlValue], list[Problem]]:
    listed, faults = read_entries(path)
    entries: dict[str, YamlValue] = {}
    for key, entry in listed:
        if key in entries:
            first = entries[key].at_key()
            why = f"this key stands twice; the first is at {first}"
            faults.append(Problem(f"{entry.at_key()}: {key}", why, "keep one of the two lines"))
        elif key in FIELDS:
            entries[key] = entry
        else:
            faults.append(_unknown(key, entry))
    return entries, faults


def _unknown(key: str, entry: YamlValue) -> Problem:
    why, hint = deprecated_keys.replacement(key, entry.read(natural=False)) or ("", "")
    if not why:
        close = deprecated_keys.closest_match(key, FIELDS)
        why = "there is no such key"
        hint = f"did you mean {close}?" if close else "sample_config_aws.yaml lists every key"
    return Problem(f"{entry.at_key()}: {key}", why, hint)


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, YamlValue], list[Problem]]:
    by_variable = {PREFIX + key.upper(): key for key in FIELDS}
    ours = {name: by_variable.get(name) for name in environ if name.startswith(PREFIX)}
    entries: dict[str, YamlValue] = {}
    faults: list[Problem] = []
    for name, key in {**AWS_VARIABLES, **ours}.items():
        if not environ.get(name):
            continue
        label = f"environment variable {name}"
        if key is None:
            close = deprecated_keys.closest_match(name, by_variable)
            hint = f"did you mean {close}?" if close else f"unset {name}"
            faults.append(Problem(label, "it names no key of the configuration", hint))
            continue
        try:
            entries[key] = flow_entry(label, environ[name])
        except Refused as error:
            faults.extend(error.problems)
    return entries, faults


def _from_flags(overrides: Mapping[str, Any]) -> tuple[dict[str, YamlValue], list[Problem]]:
    given = {key: value for key, value in overrides.items() if value is not None}
    entries = {
        key: YamlValue(
            f"flag --{key.removeprefix('aws_').replace('_', '-')}", Path.cwd(), value=value
        )
        for key, value in given.items()
    }
    return entries, []


def _values(found: Mapping[str, YamlValue]) -> tuple[dict[str, Any], list[Problem], set[str]]:
    """Return the values that are there, what is blank, empty or unreadable, and its keys."""
    values: dict[str, Any] = {}
    faults: list[Problem] = []
    for key, entry in found.items():
        field = FIELDS[key]
        try:
            value = entry.read(natural=_holds_any(field.annotation))
        except yaml.YAMLError as error:
            faults.append(Problem(f"{entry.at()}: {key}", str(error).splitlines()[0]))
            continue
        wrong = messages.unfilled(key, entry, value, field)
        if not wrong:
            values[key] = value
        faults += wrong
    return values, faults, found.keys() - values.keys()


def _holds_any(annotation: Any) -> bool:
    return annotation is Any or any(_holds_any(part) for part in get_args(annotation))


def _validated(
    values: Mapping[str, Any], found: Mapping[str, YamlValue], path: Path
) -> tuple[Config, list[Problem], set[str]]:
    """Return the configuration without its invalid keys, their problems, and their names."""
    blank = {key: "" for key, field in FIELDS.items() if field.is_required()}
    folders = {key: entry.folder for key, entry in found.items()}
    context = {FOLDERS: lambda key: folders.get(key, path.parent)}
    try:
        return Config.model_validate({**blank, **values}, context=context), [], set()
    except ValidationError as error:
        details = error.errors(include_url=False)
    faults = [messages.from_pydantic(detail, found, FIELDS) for detail in details]
    bad = {str(detail["loc"][0]) for detail in details}
    good = {key: value for key, value in values.items() if key not in bad}
    return Config.model_validate({**blank, **good}, context=context), faults, bad


def _across(
    config: Config, found: Mapping[str, YamlValue], label: str, *, without: set[str]
) -> list[Problem]:
    """Return what is wrong between keys, leaving out checks of keys that are wrong themselves."""
    faults = []
    for clash in refusals(config):
        if without.isdisjoint(clash.keys):
            entry = next((found[key] for key in clash.keys if key in found), None)
            where = entry.at() if entry else label
            faults.append(Problem(f"{where}: {clash.keys[0]}", clash.why, clash.hint))
    return faults
