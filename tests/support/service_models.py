"""What botocore and moto read and make once for all tests of a process: AWS's service models.

Each session of boto3 reads the models again, and tests create hundreds of sessions. As botocore
keeps them, the models of one deployment take 60 MiB, and moto keeps another set: most of that is
documentation, ordered dictionaries, and tens of thousands of small ones that are equal.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.client
import botocore.hooks
import botocore.loaders
import botocore.parsers
import botocore.session

from aws_setup.aws.service_models import ServiceModels


def install() -> None:
    """Have this process share the models, the methods of its clients and the names of events."""
    loader: Any = botocore.loaders.Loader
    if loader.FILE_LOADER_CLASS is SharedFiles:
        return
    loader.FILE_LOADER_CLASS = SharedFiles
    product: Any = ServiceModels
    product.FILE_LOADER_CLASS = SharedFiles
    processor: Any = botocore.loaders.ExtrasProcessor
    processor._process = _add_extras
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    _share_clients()
    _share_event_names()
    _copy_handlers_at_once()
    # A time is read with dateutil, in a quarter of a millisecond; most are read many times.
    parsers: Any = botocore.parsers
    parse = functools.lru_cache(maxsize=10_000, typed=True)(parsers.DEFAULT_TIMESTAMP_PARSER)
    parsers.DEFAULT_TIMESTAMP_PARSER = parse


class SharedFiles(botocore.loaders.JSONFileLoader):
    """Reads each file once, for every loader of botocore and of moto."""

    def load_file(self, file_path: str) -> Any:
        """Return what the file contains, whose uppermost level the caller may change."""
        if "s3" in Path(file_path).parts:
            # botocore changes the operations of this model.
            return botocore.loaders.JSONFileLoader().load_file(file_path)
        found = _read(file_path)
        return dict(found) if isinstance(found, dict) else found

    def _load_file(self, full_path: str, open_method: Any) -> Any:
        if not Path(full_path).is_file():
            return None
        with open_method(full_path, "rb") as file:
            found = json.loads(file.read())
        # botocore adds to what it has read of endpoints.
        is_model = Path(full_path).name.startswith("service-2.")
        return slim(found, {}) if is_model else found


@functools.cache
def _read(path: str) -> Any:
    return botocore.loaders.JSONFileLoader.load_file(SharedFiles(), path)


class Shared(dict[str, Any]):
    """A dictionary that is in several places of a model, and so may not be changed."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("this dictionary of a service model is shared")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse


FILTERS = ("Filter", "Filters")
"""Members in whose documentation the emulated EC2 finds which filters there are."""


def slim(value: Any, known: dict[Any, Any], *, documented: bool = False) -> Any:
    """Return a value of JSON without texts of documentation; equal small dictionaries are one."""
    if isinstance(value, list):
        return [slim(item, known) for item in value]
    if isinstance(value, str):
        return known.setdefault(value, value)
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        is_text = key == "documentation" and isinstance(item, str) and not documented
        found[key] = "" if is_text else slim(item, known, documented=key in FILTERS)
    if all(isinstance(item, str | bool) for item in found.values()):
        return known.setdefault(tuple((k, type(v), v) for k, v in found.items()), Shared(found))
    return found


def _add_extras(_processor: Any, model: dict[str, Any], extra: dict[str, Any]) -> None:
    """Add what moto or the SDK has beyond a model; the shared parts of the model stay."""
    model.update(merged(model, extra.get("merge", {})))


def merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what botocore.utils.deep_merge makes of `base`, without changing it."""
    result = dict(base)
    for key, value in extra.items():
        both = isinstance(result.get(key), dict) and isinstance(value, dict)
        result[key] = merged(result[key], value) if both else value
    return result


def _share_clients() -> None:
    """Make the methods of a service's clients once, EC2's are 750, and an object for its model."""
    creator: Any = botocore.client.ClientCreator
    create_methods, load_model = creator._create_methods, creator._load_service_model
    methods: dict[str, dict[str, Any]] = {}
    models: dict[tuple[str, str | None], Any] = {}

    def methods_once(self: Any, service_model: Any) -> dict[str, Any]:
        name = service_model.service_name
        if name not in methods:
            methods[name] = create_methods(self, service_model)
        return dict(methods[name])

    def model_once(self: Any, service_name: str, api_version: str | None = None) -> Any:
        key = service_name, api_version
        if key not in models:
            models[key] = load_model(self, service_name, api_version)
        return models[key]

    creator._create_methods = methods_once
    creator._load_service_model = model_once


def _share_event_names() -> None:
    """Look the name of each event up once: each client searches all of them in 66 aliases."""
    aliaser: Any = botocore.hooks.EventAliaser
    initialise = aliaser.__init__
    names: dict[str, str] = {}

    def aliaser_of_known_names(
        self: Any, emitter: Any, event_aliases: dict[str, str] | None = None
    ) -> None:
        initialise(self, emitter, event_aliases)
        if event_aliases is None or event_aliases == botocore.hooks.EVENT_ALIASES:
            self._alias_name_cache = names

    aliaser.__init__ = aliaser_of_known_names


def _copy_handlers_at_once() -> None:
    """Copy the tree of a client's event handlers, which each new client has, without copy.copy."""
    hooks: Any = botocore.hooks
    kinds = hooks.NodeList

    def copied(self: Any, node: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self._recursive_copy(value)
            if type(value) is dict
            else kinds(*map(list, value))
            if type(value) is kinds
            else value
            for key, value in node.items()
        }

    hooks._PrefixTrie._recursive_copy = copied
