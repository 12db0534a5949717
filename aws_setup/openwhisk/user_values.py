"""The user's own Helm values: the file of openwhisk_values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from aws_setup.config import Config, bounded_yaml
from aws_setup.config.regular_files import read_file
from aws_setup.errors import Problem, Refused
from aws_setup.openwhisk.immutable_fields import at
from aws_setup.openwhisk.secrets import OpenWhiskSecrets
from aws_setup.openwhisk.values import ValuesInput, values


def user_values(config: Config) -> dict[str, Any]:
    """Return the values of openwhisk_values, empty when the key is not set.

    A date is text, as helm reads it.

    Raises:
        Refused: the file cannot be read, is not a YAML mapping, has a key or value that helm does
            not take as it is written, or no keys where the generated values have some.
    """
    if not config.openwhisk_values:
        return {}
    path = Path(config.openwhisk_values)
    try:
        loaded = bounded_yaml.load(read_file(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unusable(path, " ".join(str(error).split())) from error
    if loaded is not None and not isinstance(loaded, dict):
        raise _unusable(path, "it is not a mapping of keys and values")
    own = _with_dates_as_text(loaded or {})
    sections = values(config, ValuesInput("", 0, OpenWhiskSecrets("", "", "")))
    if found := [*_ambiguous(own), *_emptied(own, sections)]:
        what = f"openwhisk_values: {path} cannot be used"
        raise Refused.all([Problem(what, why, hint) for why, hint in found])
    return dict(own)


def own_invokers(config: Config) -> int:
    """Return how many invokers openwhisk_values ask for, 0 where they leave it to the nodes."""
    count = at(user_values(config), "invoker.containerFactory.kubernetes.replicaCount")
    return count if isinstance(count, int) else 0


def _unusable(path: Path, why: str) -> Refused:
    return Refused(
        f"openwhisk_values: {path} cannot be used", why, "correct the file, or remove the key"
    )


def _with_dates_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_dates_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_dates_as_text(inner) for inner in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value


def _ambiguous(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield why and hint of keys that are no text, and of values that JSON does not have.

    helm converts values to JSON, whose keys are texts
    (https://github.com/kubernetes-sigs/yaml: YAMLToJSON).
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                below = f" below {name}" if name else ""
                yield f"the key {key!r}{below} is not a text", "put the key in quotes"
            yield from _ambiguous(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _ambiguous(inner, f"{name}[{index}]")
    elif not isinstance(value, str | int | None) and not _is_finite(value):
        why = f"{name} is {value!r}, which helm's values cannot be"
        yield why, "put the value in quotes"


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and isfinite(value)


def _emptied(
    own: Mapping[str, Any], generated: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield why and hint of keys without a value that would remove generated values.

    helm deletes the default of a key that is null: for annotations that is of use
    (https://helm.sh/docs/chart_template_guide/values_files/#deleting-a-default-key).
    """
    for key, given in generated.items():
        if key not in own:
            continue
        name, value = f"{prefix}{key}", own[key]
        is_section = isinstance(given, Mapping)
        if is_section and isinstance(value, Mapping):
            if key != "annotations":
                yield from _emptied(value, given, f"{name}.")
        elif is_section or value is None:
            has = "is empty" if value is None else "is no mapping of keys and values"
            lost = ", ".join(f"{name}.{inner}" for inner in given) if is_section else "the value"
            write = f"write keys below {name}" if is_section else f"write a value for {name}"
            why = f"{name} {has}: it would remove {lost}, which `configure` sets"
            yield why, f"{write}, or remove it from the file"
