"""The environment of the programs that this project starts: without what they do not need."""

from __future__ import annotations

import re
from collections.abc import Mapping

OWN_PREFIXES = ("LAMBDA_FS_", "WHISK_", "WSK_")
"""Start of the variables that configure these scripts and wsk: passwords and keys among them."""

REDIRECTING = ("HELM_KUBE", "HELM_DRIVER")
"""Variables that send helm to another API server, with another token, or to other records.

They override the kubeconfig: https://helm.sh/docs/helm/helm/ (environment variables).
"""

GIT_LOCAL = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
"""Variables of one repository, which git sets in its hooks (`git rev-parse --local-env-vars`)."""

AWS_SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_BEARER_TOKEN",
)
"""Credentials, and where they are read from; profile and region are neither.

https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
"""

_AWS_PROGRAM = re.compile(r"(^|[\s/'\"\\])(aws|aws\.exe|session-manager-plugin)([\s'\"]|$)")

SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|CREDENTIAL")
"""Words in the names of variables that hold a secret of any program."""


def child_environment(
    environ: Mapping[str, str],
    *,
    aws: bool = False,
    secrets: bool = True,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment of a program that is started.

    Args:
        environ: the environment of this process.
        aws: whether the program calls AWS itself, so that it needs the credentials.
        secrets: whether it may need secrets of the user's that are not AWS's or these scripts',
            such as the token that git's credential helper reads.
        more: variables to set in addition.
    """
    removed = OWN_PREFIXES + REDIRECTING + GIT_LOCAL + (() if aws else AWS_SECRETS)
    kept = {name: value for name, value in environ.items() if not name.startswith(removed)}
    if not secrets:
        kept = {name: value for name, value in kept.items() if not SECRET.search(name.upper())}
    return {**kept, **(more or {})}


def calls_aws(command: str) -> bool:
    """Say whether the user's own command names AWS's command line, such as `aws ssm` for SSH."""
    return bool(_AWS_PROGRAM.search(command))
