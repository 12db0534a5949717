"""AWS's own environment variables: what they override, and whose credentials a run uses."""

from __future__ import annotations

from collections.abc import Mapping

from aws_setup.errors import Problem

AWS_VARIABLES = {
    "AWS_DEFAULT_REGION": "aws_region",
    "AWS_REGION": "aws_region",
    "AWS_PROFILE": "aws_profile",
    "AWS_DEFAULT_PROFILE": "aws_profile",
}
"""AWS's variables that override a key of the file; the last one that is set applies, as in botocore
(BOTOCORE_DEFAULT_SESSION_VARIABLES in botocore/configprovider.py) and the AWS CLI."""

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Credentials themselves, as a user copies them from the access portal."""


def variable_of(key: str, environ: Mapping[str, str]) -> str:
    """Return the variable of AWS that overrides a key, '' without one."""
    names = [name for name, of in AWS_VARIABLES.items() if of == key and environ.get(name)]
    return names[-1] if names else ""


def used_profile(named: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the profile whose credentials are used, None where none is.

    As in the AWS CLI: a profile that is named comes before exported keys, and those before the
    profile of a variable (create_credential_resolver in botocore/credentials.py).
    https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html

    Args:
        named: the profile of --profile, LAMBDA_FS_AWS_PROFILE or the file.
        environ: the environment.
    """
    if named or has_keys(environ):
        return named or None
    return environ.get(variable_of("aws_profile", environ)) or None


def has_keys(environ: Mapping[str, str]) -> bool:
    """Return whether the environment has credentials themselves."""
    return bool(environ.get(_KEYS[0]))


def two_identities(in_file: str | None, environ: Mapping[str, str]) -> list[Problem]:
    """Return a warning that says whose credentials are used, if the environment has two.

    Args:
        in_file: the profile that the file names, None without one.
        environ: the environment.
    """
    variable = variable_of("aws_profile", environ)
    if not has_keys(environ) or not (in_file or variable):
        return []
    unset = f"unset {' '.join(name for name in _KEYS if environ.get(name))}"
    if variable:
        profile = environ[variable]
        what = f"the keys of {_KEYS[0]} are used, not the profile {profile} of {variable}"
        why = "both are set, and the keys come first, as in the AWS CLI"
        return [Problem(what, why, f"{unset}, or add --profile {profile}, if you mean the profile")]
    what = f"the profile {in_file} of aws_profile is used, not the keys of {_KEYS[0]}"
    why = "both are set, and a profile that is named comes first, as in `aws --profile`"
    return [Problem(what, why, f"remove aws_profile if you mean the keys, else {unset}")]
