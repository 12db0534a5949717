"""Loads the configuration: flags override the environment, which overrides the file.

Every problem of the file is reported in one run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from pydantic import SecretStr, ValidationError

from aws_setup.config import deprecated_keys, messages
from aws_setup.config.aws_variables import AWS_VARIABLES, two_identities, variable_of
from aws_setup.config.base import FOLDERS
from aws_setup.config.bounded_yaml import BadYaml
from aws_setup.config.closest_key import closest_key
from aws_setup.config.cross_checks import conflicts
from aws_setup.config.lock_file import OWN_KEYS, PRIVATE_KEYS, Lock
from aws_setup.config.model import Config
from aws_setup.config.paths import absolute
from aws_setup.config.profiles import profile_defaults
from aws_setup.config.yaml_source import (
    SHOWN,
    Position,
    UnknownKey,
    YamlValue,
    flow_entry,
    problem_at,
    read_entries,
)
from aws_setup.errors import Problem, Refused

PREFIX = "LAMBDA_FS_"
"""LAMBDA_FS_<KEY>, with the key in upper case, overrides a key of the file."""

EMPTY: Mapping[str, Any] = MappingProxyType({})
FIELDS = Config.model_fields


_SEE_SAMPLE = "see sample_config_aws.yaml, which lists every key"


def load_config(
    path: Path,
    *,
    overrides: Mapping[str, Any] = EMPTY,
    environ: Mapping[str, str] = EMPTY,
    lock: Lock | None = None,
) -> Config:
    """Return the configuration in `path`.

    Args:
        path: the YAML file; relative paths in it start from its folder.
        overrides: values of flags, by key; None is a flag that is not set.
        environ: environment variables; LAMBDA_FS_<KEY>, AWS_REGION and AWS_PROFILE override the
            file. A profile of AWS's variables is no value of `aws_profile`: botocore reads it, and
            exported keys come before it.
        lock: a deployment to repeat; what it records overrides the file.

    Raises:
        Refused: with every problem, its line and its column.
    """
    path = absolute(path)
    entries, problems = _from_file(path)
    meant = {problem.meant for problem in problems if isinstance(problem, UnknownKey)}
    entries = _with_lock(entries, lock)
    if variable_of("aws_profile", environ):
        entries.pop("aws_profile", None)
    environment, more = _from_environment(environ)
    entries |= environment | _from_flags(overrides)
    values, unreadable, skipped = _values(entries)
    values = {**profile_defaults(values.get("profile")), **values}
    problems += (
        more
        + unreadable
        + [
            messages.missing(key, path.name, field)
            for key, field in FIELDS.items()
            if field.is_required() and key not in entries and key not in meant
        ]
    )
    config, invalid, invalid_keys = _validated(values, entries, path)
    problems += invalid
    problems += _conflicts(config, entries, path.name, without=skipped | invalid_keys)
    if problems:
        raise Refused.all(messages.in_file_order(problems))
    return config


def file_warnings(
    path: Path, *, overrides: Mapping[str, Any] = EMPTY, environ: Mapping[str, str] = EMPTY
) -> list[Problem]:
    """Return what is unusual about a file that loads: keys without effect, a readable password."""
    path = absolute(path)
    entries, _ = _from_file(path)
    shadowed = _shadowed(entries, path, overrides, environ)
    if not _intended("aws_profile", overrides, environ):
        in_file = entries["aws_profile"].read(natural=False) if "aws_profile" in entries else None
        shadowed += two_identities(in_file, environ)
    return shadowed + _exposed(entries, path)


def _intended(key: str, overrides: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    """Say whether a flag or a variable of this program, which is set for a run, has the key."""
    return overrides.get(key) is not None or bool(environ.get(PREFIX + key.upper()))


def _exposed(entries: Mapping[str, YamlValue], path: Path) -> list[Problem]:
    """Return a warning if the file holds a password and other users can read it."""
    secrets = [key for key in entries if SecretStr in get_args(FIELDS[key].annotation)]
    mode = path.stat().st_mode
    if not secrets or not mode & 0o044 or os.name == "nt":
        return []
    what = f"other users of this computer can read {secrets[0]} in {path.name}"
    why = f"the mode of the file is {mode & 0o777:03o}"
    variable = PREFIX + secrets[0].upper()
    return [Problem(what, why, f"run chmod 600 {path}, or set {variable} instead of the key")]


def _shadowed(
    entries: Mapping[str, YamlValue],
    path: Path,
    overrides: Mapping[str, Any],
    environ: Mapping[str, str],
) -> list[Problem]:
    """Return a warning for each key of the file that a variable of AWS overrides.

    LAMBDA_FS_<KEY> and flags are set for this program; AWS_REGION may be left from other work.
    """
    effective = {key: name for name, key in AWS_VARIABLES.items() if environ.get(name)}
    warnings = []
    for key, name in effective.items():
        if key not in entries or _intended(key, overrides, environ):
            continue
        value = entries[key].read(natural=False)
        if value and value != environ[name]:
            what = f"the environment variable {name} overrides {key}"
            why = f"it is {environ[name]}, and {path.name} has {key}: {value}"
            warnings.append(Problem(what, why, f"unset {name}"))
    return warnings


def _from_file(path: Path) -> tuple[dict[str, YamlValue], list[Problem]]:
    listed, problems = read_entries(path)
    entries: dict[str, YamlValue] = {}
    for key, entry in listed:
        if key in entries:
            first = entries[key].at_key()
            why = f"this key is set twice, first at {first}"
            problems.append(problem_at(entry.at_key(), key, why, "remove one of the two lines"))
        elif key in FIELDS:
            entries[key] = entry
        else:
            problems.append(_unknown(key, entry))
    return entries, problems


def _unknown(key: str, entry: YamlValue) -> Problem:
    if len(key) > SHOWN:
        shown = f"{key[:SHOWN]}…"
        return problem_at(entry.at_key(), shown, "there is no such key", _SEE_SAMPLE)
    why, hint = deprecated_keys.replacement(key, entry.read(natural=False)) or ("", "")
    if not why:
        close = closest_key(key, FIELDS)
        why = f"there is no such key; did you mean {close}?" if close else "there is no such key"
        hint = f"write {close}, or remove the line" if close else _SEE_SAMPLE
        placed = problem_at(entry.at_key(), key, why, hint)
        return UnknownKey(placed.what, why, hint, placed.position, meant=close)
    return problem_at(entry.at_key(), key, why, hint)


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, YamlValue], list[Problem]]:
    by_variable = {PREFIX + key.upper(): key for key in FIELDS}
    prefixed = {name: by_variable.get(name) for name in environ if name.startswith(PREFIX)}
    entries: dict[str, YamlValue] = {}
    problems: list[Problem] = []
    of_region = {name: key for name, key in AWS_VARIABLES.items() if key != "aws_profile"}
    for name, key in {**of_region, **prefixed}.items():
        if not environ.get(name):
            continue
        label = f"environment variable {name}"
        if key is None:
            meant = closest_key(name.removeprefix(PREFIX), FIELDS)
            close = meant and PREFIX + meant.upper()
            why = "there is no such configuration key"
            hint = f"set {close} instead, or unset {name}" if close else f"unset {name}"
            problems.append(Problem(label, why, hint))
            continue
        try:
            entries[key] = flow_entry(label, environ[name])
        except Refused as error:
            problems.extend(error.problems)
    return entries, problems


def _from_flags(overrides: Mapping[str, Any]) -> dict[str, YamlValue]:
    return {
        key: YamlValue(
            f"flag --{key.removeprefix('aws_').replace('_', '-')}", Path.cwd(), value=value
        )
        for key, value in overrides.items()
        if value is not None
    }


def _with_lock(entries: Mapping[str, YamlValue], lock: Lock | None) -> dict[str, YamlValue]:
    """Return the values with those that repeat a deployment; one that it left open is left open."""
    repeated = lock.repeated if lock else {}
    kept = {key: entry for key, entry in entries.items() if key not in repeated}
    if lock is None:
        return kept
    return kept | {
        key: YamlValue(lock.path.name, lock.path.parent, value=value)
        for key, value in repeated.items()
        if value is not None
    }


def lock_warnings(path: Path, lock: Lock) -> list[Problem]:
    """Return a warning that names the keys of the file that the lock file overrides."""
    entries, _ = _from_file(absolute(path))
    written, _, _ = _values(entries)
    changed = [
        f"{key}: {_short(written[key])} -> {_short(value)}"
        for key, value in lock.repeated.items()
        if key in written and _short(written[key]) != _short(value)
    ]
    warnings = []
    if changed:
        what = f"{lock.path.name} overrides what {path.name} has"
        warnings.append(Problem(what, "; ".join(changed)))
    absent = sorted(FIELDS.keys() - lock.configuration.keys() - PRIVATE_KEYS - OWN_KEYS)
    absent = [key for key in absent if key not in lock.repeated]
    if absent:
        what = f"{lock.path.name} does not record {', '.join(absent[:6])}"
        more = f" and {len(absent) - 6} more" if len(absent) > 6 else ""
        why = "the version that wrote it has no such key, or the value named an account or a path"
        warnings.append(Problem(what + more, f"{why}; {path.name} or the default applies"))
    return warnings


def _short(value: Any) -> str:
    """Return a value as text: the file has every scalar as text, the lock file has types."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_short, value)) + "]"
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text


def _values(entries: Mapping[str, YamlValue]) -> tuple[dict[str, Any], list[Problem], set[str]]:
    """Return the readable values, the problems of the others, and the keys of the others."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, entry in entries.items():
        field = FIELDS[key]
        natural = _contains_any(field.annotation)
        found = entry.unusable(natural=natural)
        unusable = [problem_at(at, key, why, hint) for at, why, hint in found]
        if unusable:
            problems += unusable
            continue
        try:
            value = entry.read(natural=natural)
        except BadYaml as error:
            problems.append(problem_at(entry.at(), key, error.why, error.hint))
            continue
        unset = messages.unfilled(key, entry, value, field)
        if not unset:
            values[key] = value
        problems += unset
    return values, problems, entries.keys() - values.keys()


def _contains_any(annotation: Any) -> bool:
    return annotation is Any or any(_contains_any(part) for part in get_args(annotation))


def _validated(
    values: Mapping[str, Any], entries: Mapping[str, YamlValue], path: Path
) -> tuple[Config, list[Problem], set[str]]:
    """Return the configuration without its invalid keys, their problems, and their names."""
    blank = {key: "" for key, field in FIELDS.items() if field.is_required()}
    folders = {key: entry.folder for key, entry in entries.items()}
    context = {FOLDERS: lambda key: folders.get(key, path.parent)}
    try:
        return Config.model_validate({**blank, **values}, context=context), [], set()
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [messages.from_pydantic(detail, entries, FIELDS) for detail in details]
    invalid = {str(detail["loc"][0]) for detail in details}
    valid = {key: value for key, value in values.items() if key not in invalid}
    return Config.model_validate({**blank, **valid}, context=context), problems, invalid


def _conflicts(
    config: Config, entries: Mapping[str, YamlValue], label: str, *, without: set[str]
) -> list[Problem]:
    """Return conflicts between keys, without those of keys in `without`, which are invalid."""
    problems: list[Problem] = []
    for conflict in conflicts(config):
        if without.isdisjoint(conflict.keys):
            entry = next((entries[key] for key in conflict.keys if key in entries), None)
            at = entry.at() if entry else Position(label)
            problems.append(problem_at(at, conflict.keys[0], conflict.why, conflict.hint))
    return problems
