"""Where AWS credentials come from: each source is bounded, and its damage is named as such.

botocore's chain waits for a credential_process for ever, and passes on whatever Python raises at a
damaged cache file or an answer of another form.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from botocore.credentials import ProcessProvider
from botocore.exceptions import BotoCoreError, ClientError

from aws_setup.aws.credential_process import BoundedProcess
from aws_setup.config.paths import expanded
from aws_setup.config.regular_files import special
from aws_setup.engine.decoding import SHAPE_ERRORS
from aws_setup.errors import Refused, SetupError


@dataclass(frozen=True)
class CredentialSource:
    """A source of credentials: what it is called, and what mends it."""

    title: str
    fix: str


_SETTINGS = CredentialSource(
    "the AWS configuration",
    "check the profile in ~/.aws/config and ~/.aws/credentials, and the files and programs "
    "that it names (credential_process, web_identity_token_file, endpoint_url, "
    "max_attempts); `aws sso login` renews a damaged session",
)
SOURCES: Mapping[str, CredentialSource] = {
    "": _SETTINGS,
    "custom-process": CredentialSource(
        "the credential_process of the profile",
        "run the profile's credential_process by hand: it has to end within a minute and to print "
        "one JSON object with Version 1, AccessKeyId and SecretAccessKey",
    ),
    "sso": CredentialSource(
        "the stored session of `aws sso login`",
        "run `aws sso login`, which writes ~/.aws/sso/cache again; delete that folder first, if it "
        "still cannot be used",
    ),
    "login": CredentialSource(
        "the stored session of `aws login`",
        "run `aws login`, which writes ~/.aws/login/cache again; delete that folder first, if it "
        "still cannot be used",
    ),
    "assume-role-with-web-identity": CredentialSource(
        "the web identity token",
        "check web_identity_token_file of the profile, or AWS_WEB_IDENTITY_TOKEN_FILE",
    ),
    "container-role": CredentialSource(
        "the credentials of this container",
        "check AWS_CONTAINER_CREDENTIALS_FULL_URI and the token that it needs, or select a profile "
        "with --profile",
    ),
    "iam-role": CredentialSource(
        "the metadata service of this machine",
        "attach a role to this machine, or select a profile with --profile",
    ),
}
"""botocore's name of a source -> what it is; '' for the configuration files and all others."""

FILE_VARIABLES = (
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
FILE_KEYS = ("ca_bundle", "web_identity_token_file")
"""Environment variables and keys of a profile that name files which botocore reads."""


def refuse_special_files(settings: Mapping[str, Any]) -> None:
    """Refuse a pipe, socket or device in the place of a file that botocore would wait for.

    Args:
        settings: the environment, or the keys of a profile.

    Raises:
        Refused: one of the files is none.
    """
    for name in (*FILE_VARIABLES, *FILE_KEYS):
        path = settings.get(name)
        if not isinstance(path, str) or not path:
            continue
        try:
            why = special(expanded(path))
        except (OSError, ValueError):
            continue  # botocore says what is wrong with a file that is missing
        if why:
            raise Refused(f"{name}: {path} cannot be read", why, f"set {name} to a file")


def unusable(what: str, source: str, error: Exception) -> Refused:
    """Return the refusal of a source that cannot be used, without Python's names of errors."""
    known = SOURCES.get(source, _SETTINGS)
    return Refused(what, f"{known.title}: {_cause(error)}", known.fix)


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        reason = error.strerror or text
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, JSONDecodeError):
        return f"it is not JSON: {text}"
    if isinstance(error, KeyError):
        return f"it cannot be read, or has no {text}"
    if type(error) is ValueError or not isinstance(error, SHAPE_ERRORS):
        return text or "no reason is given"
    return f"it does not have the expected form ({text})"


class SourceOfCredentials:
    """Which source botocore asks; that of the last one that was asked."""

    def __init__(self) -> None:
        self.name = ""

    def watch(self, resolver: Any) -> None:
        """Note each provider of a resolver that loads credentials, and bound its programs."""
        for provider in resolver.providers:
            _bound(provider)
            provider.load = self._noting(str(provider.METHOD or ""), provider.load)

    def _noting(self, name: str, load: Callable[[], Any]) -> Callable[[], Any]:
        def noted() -> Any:
            self.name = name
            return load()

        return noted


def _bound(provider: Any) -> None:
    """Let a provider, and those that it makes for a source_profile, start bounded programs."""
    if hasattr(provider, "_popen"):
        provider._popen = BoundedProcess
    builder = getattr(provider, "_profile_provider_builder", None)
    if builder is not None:
        builder._create_process_provider = lambda profile_name: ProcessProvider(
            profile_name=profile_name,
            load_config=lambda: builder._session.full_config,
            popen=BoundedProcess,
        )


def default_files() -> dict[str, str]:
    """Return the configuration files that botocore reads, as `refuse_special_files` takes them."""
    folder = Path("~/.aws")
    named = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}
    found = {key: str(folder / name) for key, name in named.items()}
    return found | {key: os.environ[key] for key in FILE_VARIABLES if os.environ.get(key)}


@contextmanager
def readable_settings(
    what: str = "the AWS credentials cannot be loaded",
    *,
    source: SourceOfCredentials | None = None,
) -> Iterator[None]:
    """Name files and programs of the user's AWS configuration as the cause of other exceptions.

    botocore's chain passes on what they raise: a missing credential_process, a token file that
    may not be read, an answer that is no JSON. `source` knows which one was asked.

    Raises:
        Refused: what the configuration names cannot be used.
    """
    try:
        yield
    except (SetupError, BotoCoreError, ClientError):
        raise
    except Exception as error:
        raise unusable(what, source.name if source else "", error) from error
