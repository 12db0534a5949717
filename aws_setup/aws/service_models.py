"""Loads botocore's service models in less time: no search, no ordered dictionaries."""

from __future__ import annotations

import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

from aws_setup.aws.timestamps import parse_time


class ModelFiles(JSONFileLoader):
    """Reads JSON into dictionaries, which have kept the order of their keys since Python 3.7.

    botocore makes each object an OrderedDict, which Python builds: twice the time for a model.
    """

    def load_file(self, file_path: str) -> Any:
        """Return what the file with this name, without its suffixes, contains; None without one."""
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            try:
                with opened(f"{file_path}{suffix}", "rb") as file:
                    return json.loads(file.read())
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
        return None


class ServiceModels(Loader):
    """A loader that takes each entry of the search path for a service.

    botocore opens the folders of all 400 services for each type of file that it loads for one, to
    know which of them have that type: 20 ms of a run. The folder of the one is searched all the
    same, before anything is loaded (botocore/loaders.py, list_api_versions).
    """

    FILE_LOADER_CLASS = ModelFiles

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the names of all services, also of those without files of this type."""
        return self._services

    @cached_property
    def _services(self) -> list[str]:
        folders = [path for path in map(Path, self.search_paths) if path.is_dir()]
        return sorted({entry.name for folder in folders for entry in folder.iterdir()})


def use_own_readers(session: Any) -> None:
    """Let a botocore session load service models by ServiceModels, and read times by parse_time."""
    paths = list(session.get_component("data_loader").search_paths)
    loader = ServiceModels(extra_search_paths=paths, include_default_search_paths=False)
    session.register_component("data_loader", loader)
    session.get_component("response_parser_factory").set_parser_defaults(
        timestamp_parser=parse_time
    )
