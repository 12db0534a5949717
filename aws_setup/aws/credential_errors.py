"""Causes and fixes of botocore's exceptions: the credential chain, settings and connections."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as errors
from botocore.parsers import ResponseParserError
from urllib3.exceptions import NameResolutionError

from aws_setup.aws.error_messages import HINT_LOG_IN, HINT_RERUN, ErrorMessage
from aws_setup.engine.http_deadline import HINT_CLOCK, clock_hint, why_broken
from aws_setup.engine.proxies import HINT_LOGIN, proxy_hint

_UNREACHABLE = ErrorMessage(
    "AWS cannot be reached: {message}",
    "check this computer's network and proxy, and the region's name, then run the same command "
    "again",
)
_UNRESOLVED = ErrorMessage(
    "AWS cannot be reached: this computer cannot resolve its name: {message}",
    "check this computer's network, DNS servers and VPN, and the region's name, then run the same "
    "command again",
)
_PROXY = ErrorMessage(
    "the proxy does not connect to AWS: {message}",
    f"for 407 {HINT_LOGIN}; for 403 ask who runs the proxy to let this endpoint through; "
    "else check HTTPS_PROXY and NO_PROXY",
)
_WRONG_TIME = ErrorMessage(
    "the certificate that answers is not valid at the time of this computer's clock: {message}",
    HINT_CLOCK,
)
_UNREADABLE = ErrorMessage(
    "the answer is not one of AWS, or was cut off: {message}",
    "check whether a proxy or a login page of this network answers instead of AWS, then run the "
    "same command again",
)
_NO_SESSION = ErrorMessage(
    "your AWS session has ended or was never started: {message}", HINT_LOG_IN
)
_SETTINGS = ErrorMessage(
    "your AWS configuration is invalid: {message}",
    "fix that setting in ~/.aws/config, or the AWS_* variable that sets it",
)
_REGION = ErrorMessage(
    "{message}", "set aws_region, as in us-east-1, or run: pip install -U boto3 (for a new one)"
)
_DEFECT = ErrorMessage("a request was malformed: {message}", "report this with the debug log")

MESSAGES_BY_CLASS: tuple[tuple[tuple[type[Exception], ...], ErrorMessage], ...] = (
    (
        (errors.NoCredentialsError,),
        ErrorMessage(
            "no AWS credentials were found on this computer",
            "run `aws configure` or `aws sso login`, or select a profile with --profile",
        ),
    ),
    (
        (errors.PartialCredentialsError,),
        ErrorMessage(
            "the AWS credentials are incomplete: {message}", "complete the keys of the profile"
        ),
    ),
    (
        (errors.NoRegionError,),
        ErrorMessage("no AWS region is configured", "set aws_region, or add --region us-east-1"),
    ),
    (
        (errors.ProfileNotFound,),
        ErrorMessage(
            "{message}",
            "choose one that `aws configure list-profiles` lists: set aws_profile or add --profile",
        ),
    ),
    (
        (errors.RefreshWithMFAUnsupportedError,),
        ErrorMessage(
            "the role's session has ended, and a new one needs another MFA code",
            f"{HINT_RERUN} (it asks for a code); duration_seconds of the profile makes sessions "
            "longer",
        ),
    ),
    (
        (errors.LoginInsufficientPermissions,),
        ErrorMessage(
            "you may not log in to AWS from here: {message}",
            "ask the account's administrator for the permission of `aws login`",
        ),
    ),
    (
        (
            errors.SSOError,
            errors.LoginError,
            errors.TokenRetrievalError,
            errors.NoAuthTokenError,
            errors.UnknownTokenProviderError,
        ),
        _NO_SESSION,
    ),
    (
        (errors.MissingDependencyException,),
        ErrorMessage("{message}", 'run `pip install "botocore[crt]"`'),
    ),
    (
        (errors.MetadataRetrievalError,),
        ErrorMessage(
            "the metadata service of this machine gave no credentials: {message}",
            "attach a role to this machine, or select a profile with --profile",
        ),
    ),
    (
        (errors.CredentialRetrievalError,),
        ErrorMessage(
            "the credentials could not be fetched: {message}",
            "check that source; if it is the credential_process of your profile, run it by hand "
            "and read its output",
        ),
    ),
    (
        (errors.UnknownCredentialError, errors.InfiniteLoopConfigError),
        ErrorMessage(
            "the profile names a source of credentials that cannot be used: {message}",
            "fix source_profile or credential_source of the profile in ~/.aws/config",
        ),
    ),
    (
        (errors.ConfigParseError, errors.ConfigNotFound),
        ErrorMessage("your AWS configuration cannot be read: {message}", "fix ~/.aws/config"),
    ),
    (
        (
            errors.InvalidConfigError,
            errors.InvalidChecksumConfigError,
            errors.InvalidDefaultsMode,
            errors.InvalidEndpointConfigurationError,
            errors.InvalidEndpointDiscoveryConfigurationError,
            errors.InvalidIMDSEndpointError,
            errors.InvalidIMDSEndpointModeError,
            errors.InvalidProxiesConfigError,
            errors.InvalidRetryConfigurationError,
            errors.InvalidS3AddressingStyleError,
            errors.InvalidS3UsEast1RegionalEndpointConfigError,
            errors.InvalidSTSRegionalEndpointsConfigError,
        ),
        _SETTINGS,
    ),
    (
        (errors.SSLError,),
        ErrorMessage(
            "the secure connection to AWS failed: {message}",
            "set AWS_CA_BUNDLE to the certificate of your proxy, if it inspects traffic",
        ),
    ),
    (
        (
            errors.ResponseStreamingError,
            errors.IncompleteReadError,
            errors.ChecksumError,
            errors.FlexibleChecksumError,
            errors.PaginationError,
            ResponseParserError,
        ),
        _UNREADABLE,
    ),
    ((errors.ProxyConnectionError,), _PROXY),
    (
        (errors.ConnectionError, errors.HTTPClientError, errors.CapacityNotAvailableError),
        _UNREACHABLE,
    ),
    (
        (
            errors.InvalidRegionError,
            errors.UnknownRegionError,
            errors.BaseEndpointResolverError,
            errors.EndpointProviderError,
            errors.ServiceNotInRegionError,
        ),
        _REGION,
    ),
    (
        (
            errors.DataNotFoundError,
            errors.ApiVersionNotFoundError,
            errors.UnsupportedServiceProtocolsError,
            errors.UnsupportedSignatureVersionError,
            errors.UnknownSignatureVersionError,
            errors.UnknownServiceStyle,
            errors.MD5UnavailableError,
        ),
        ErrorMessage(
            "the installed boto3 does not fit: {message}", "run: pip install -U boto3 botocore"
        ),
    ),
    (
        (
            errors.ParamValidationError,
            errors.ValidationError,
            errors.MissingParametersError,
            errors.OperationNotPageableError,
            errors.UnknownClientMethodError,
            errors.InvalidExpressionError,
            errors.InvalidHostLabelError,
            errors.InvalidDNSNameError,
            errors.UnseekableStreamError,
            errors.AwsChunkedWrapperError,
            errors.WaiterError,
            errors.WaiterConfigError,
            errors.StubResponseError,
            errors.UnsupportedOutpostResourceError,
            errors.UnsupportedS3AccesspointConfigurationError,
            errors.UnsupportedS3ArnError,
            errors.UnsupportedS3ConfigurationError,
            errors.UnsupportedS3ControlArnError,
            errors.UnsupportedS3ControlConfigurationError,
        ),
        _DEFECT,
    ),
)
"""botocore's exceptions -> message; the first row with a class that matches applies."""


def _of_proxy(url: str, cause: object) -> ErrorMessage:
    """Return the message of a proxy that does not connect; botocore knows http's alone.

    https://github.com/boto/botocore/blob/develop/botocore/httpsession.py, _fix_proxy_url.
    """
    hint = proxy_hint(why_broken(cause)) if isinstance(cause, Exception) else ""
    if "socks" in url:
        hint = "write HTTPS_PROXY as http://HOST:PORT: AWS's library takes no SOCKS proxy"
    return replace(_PROXY, hint=hint or _PROXY.hint)


def _endpoint_variable(url: str) -> str:
    """Return the environment variable that leads requests to a URL, '' for an endpoint of AWS's.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    place = urlsplit(url).netloc
    named = (name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))
    return next((name for name in named if urlsplit(os.environ[name]).netloc == place), "")


def _of_variable(name: str, *, unresolved: bool) -> ErrorMessage:
    """Return the message of an endpoint of an environment variable that cannot be reached."""
    where = "to a host that this computer cannot resolve" if unresolved else "where nothing answers"
    return ErrorMessage(
        f"AWS cannot be reached: {name} sends its calls {where}: {{message}}",
        f"unset {name}, or {'correct it' if unresolved else 'start what it names'}; then run the "
        "same command again",
    )


def message_of_class(error: Exception) -> ErrorMessage | None:
    """Return the message of one of botocore's exceptions; None of one that nothing knows."""
    known: Mapping[str, Any] = getattr(error, "kwargs", {})
    if isinstance(error, errors.ProxyConnectionError):
        return _of_proxy(str(known.get("proxy_url")), known.get("error"))
    # The text of EndpointConnectionError says only that there was no connection.
    unresolved = isinstance(known.get("error"), NameResolutionError)
    no_way = isinstance(error, errors.EndpointConnectionError | errors.ConnectTimeoutError)
    if no_way and (name := _endpoint_variable(str(known.get("endpoint_url")))):
        return _of_variable(name, unresolved=unresolved)
    if unresolved:
        return _UNRESOLVED
    if isinstance(error, errors.SSLError) and clock_hint(str(error)):
        return _WRONG_TIME
    for kinds, message in MESSAGES_BY_CLASS:
        if isinstance(error, kinds):
            return message
    return None
