"""The connection that the user's kubeconfig describes; one that others could read is refused."""

from __future__ import annotations

import atexit
import functools
import shutil
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.config import kube_config
from kubernetes.config.exec_provider import ExecProvider

from aws_setup.config import bounded_yaml
from aws_setup.config.bounded_yaml import ANY_COUNT, ANY_SIZE
from aws_setup.config.child_environment import child_environment
from aws_setup.engine.decoding import read_bytes
from aws_setup.engine.proxies import login_headers
from aws_setup.engine.temporary_files import PREFIX, temporary_root, unnamed_folder
from aws_setup.errors import SetupError

HINT_USABLE = "correct kubeconfig_path and kube_context, or remove both keys"
HINT_SECURE = (
    "give the cluster its https URL and certificate-authority-data (`aws eks update-kubeconfig` "
    "does), or remove kubeconfig_path and kube_context"
)


def open_kubeconfig(path: str | None, context: str | None) -> Any:
    """Return the Kubernetes library's client for a context of a kubeconfig.

    Raises:
        SetupError: the file or the context does not exist, is not usable, or not secure.
    """
    if path:
        _check_readable(Path(path))
    try:
        settings = type.__call__(Configuration)  # not a copy of the library's default
        # The library writes keys and certificates of the file to files of their own.
        config.load_kube_config(path, context, settings, temp_file_path=_own_folder())
        settings.proxy_headers = login_headers(settings.proxy) or None
        api = ApiClient(settings)
    except Exception as error:  # the library raises any class
        known = isinstance(error, (config.ConfigException, OSError))
        kind = "" if known else f"{type(error).__name__}: "
        why = kind + " ".join(str(error).split())
        raise SetupError(f"the kubeconfig {path} cannot be used", why, HINT_USABLE) from error
    why = _insecure(api.configuration)
    if why:
        raise SetupError(f"the kubeconfig {path or ''} is not secure", why, HINT_SECURE)
    return api


@functools.cache
def _own_folder() -> str:
    """Return a temporary folder that is deleted with this process, or by a run after a kill."""
    folder = unnamed_folder(temporary_root(), PREFIX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(folder)


def _check_readable(path: Path) -> None:
    """Refuse what is no YAML mapping, or exceeds a limit: the library reads without any."""
    try:
        data = read_bytes(path, what="the kubeconfig", hint=HINT_USABLE)
        loaded = bounded_yaml.load(data, most_bytes=ANY_SIZE, most_nodes=ANY_COUNT)
        why = "" if isinstance(loaded, dict) else "it is no mapping of keys and values"
    except FileNotFoundError:
        why = "there is no such file"
    except bounded_yaml.BadYaml as error:
        why = str(error)
    if why:
        raise SetupError(f"the kubeconfig {path} cannot be used", why, HINT_USABLE)


def _insecure(settings: Any) -> str:
    """Return why others could read OpenWhisk's keys and the token, '' when they cannot."""
    host = str(settings.host)
    if not host.startswith("https://"):
        return f"its server {host.partition('?')[0]} is not an https URL: nothing is encrypted"
    if not settings.verify_ssl:
        return "insecure-skip-tls-verify is set: anybody can answer in place of the cluster"
    return ""


class _ExecProvider(ExecProvider):  # type: ignore[misc]
    """The program of a kubeconfig that prints a token; it gets AWS's credentials and no others."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        own: dict[str, str] = vars(self)["env"]
        self.env = child_environment(own, aws=True)


# The library has no parameter for the environment of the programs that it starts.
kube_config.ExecProvider = _ExecProvider
