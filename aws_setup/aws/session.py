"""The session at AWS: its clients, the caller's identity, and AWS's error codes."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config as BotocoreConfig
from botocore.exceptions import ClientError
from botocore.session import Session

from aws_setup.aws.answer_checks import check_answer, check_result
from aws_setup.aws.credential_sources import (
    SourceOfCredentials,
    default_files,
    readable_settings,
    refuse_special_files,
)
from aws_setup.aws.error_shapes import use_modeled_errors
from aws_setup.aws.errors import clock_skew
from aws_setup.aws.identity import Identity
from aws_setup.aws.mfa import asks_user, install_prompt
from aws_setup.aws.outages import Outages, is_write
from aws_setup.aws.service_models import use_own_readers
from aws_setup.config.version import USER_AGENT
from aws_setup.engine.decoding import whole_number
from aws_setup.engine.write_guard import before_write

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_elb import ElasticLoadBalancingClient
    from mypy_boto3_iam import IAMClient

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 9
"""Attempts, the first one included, before throttling or a lost connection is an error."""

TIMEOUT_SECONDS = 5.0
"""Seconds for a connection, and for an answer, of a request that is not essential."""

CONNECT_SECONDS = 20.0
"""Seconds for a connection of any other request. botocore's minute, nine times, is ten minutes
without a word where a network drops what does not go through its proxy."""


class Aws:
    """One session of botocore and its clients, created once each; safe to use from many threads."""

    def __init__(self, *, profile: str | None = None, region: str | None = None) -> None:
        """Open the session.

        Args:
            profile: a profile of the user's AWS configuration; None for botocore's own chain.
            region: the AWS region; None for AWS_REGION, as in AWS's other tools, else
                botocore's own chain, which knows AWS_DEFAULT_REGION only.

        Raises:
            botocore.exceptions.ProfileNotFound: the user's configuration has no such profile.
        """
        region = region or os.environ.get("AWS_REGION") or None
        refuse_special_files(default_files())
        with readable_settings():
            self._session = Session()
            for variable, value in (("profile", profile), ("region", region)):
                if value is not None:
                    self._session.set_config_variable(variable, value)
            use_own_readers(self._session)
        self._boto3: Any = None
        self._has_credentials = False
        self._clients: dict[tuple[str, str | None, bool, float | None, int], Any] = {}
        self._lock = threading.Lock()
        self.calls = 0
        self._writes: Counter[str] = Counter()
        self.clock_skew: float | None = None
        self.outages = Outages()
        self.shared: dict[type, Any] = {}
        """Objects that packages above keep as long as this session, by class; they may use it."""

    @property
    def region(self) -> str:
        """The region of every regional client; empty when none is configured."""
        return str(self._session.get_config_variable("region") or "")

    def known_regions(self) -> list[str]:
        """Return the regions that the installed botocore knows, without a request."""
        core = self._session
        every = (core.get_available_regions("ec2", it) for it in core.get_available_partitions())
        return [region for regions in every for region in regions]

    @property
    def ec2(self) -> EC2Client:
        """The EC2 client."""
        client: EC2Client = self.client("ec2")
        return client

    @property
    def eks(self) -> EKSClient:
        """The EKS client."""
        client: EKSClient = self.client("eks")
        return client

    @property
    def iam(self) -> IAMClient:
        """The IAM client."""
        client: IAMClient = self.client("iam")
        return client

    @property
    def autoscaling(self) -> AutoScalingClient:
        """The EC2 Auto Scaling client."""
        client: AutoScalingClient = self.client("autoscaling")
        return client

    @property
    def elb(self) -> ElasticLoadBalancingClient:
        """The client of the Classic Load Balancers, which Kubernetes creates for its Services."""
        client: ElasticLoadBalancingClient = self.client("elb")
        return client

    @property
    def scheduler(self) -> Any:
        """The client of EventBridge Scheduler."""
        return self.client("scheduler")

    @cached_property
    def identity(self) -> Identity:
        """The account and ARN of the credentials, requested once.

        Raises:
            Refused: the credentials cannot be loaded.
        """
        answer = self.client("sts").get_caller_identity()
        return Identity(account=answer["Account"], arn=answer["Arn"])

    @property
    def asks_user(self) -> bool:
        """Whether loading the credentials may ask a person, as for an MFA code."""
        return asks_user(self._session, os.environ)

    @property
    def partition(self) -> str:
        """The partition of the caller, as its ARNs begin: aws, aws-cn, aws-us-gov."""
        return self.identity.partition

    @property
    def ec2_once(self) -> EC2Client:
        """The EC2 client that never retries: for creates that take no client token."""
        client: EC2Client = self.client("ec2", retries=False)
        return client

    @property
    def ssm(self) -> Any:
        """The client of the Parameter Store, which keeps the run lock: it fails within seconds."""
        most = whole_number(os.environ.get("AWS_MAX_ATTEMPTS", ""))
        attempts = min(5, most) if most else 5
        return self.client("ssm", timeout=TIMEOUT_SECONDS, attempts=attempts)

    @property
    def ssm_once(self) -> Any:
        """The same, but it never retries."""
        return self.client("ssm", timeout=TIMEOUT_SECONDS, attempts=1)

    def brief(self, service: str, *, region: str | None = None) -> Any:
        """Return a client for requests that are not essential: it fails within seconds."""
        return self.client(service, region=region, timeout=TIMEOUT_SECONDS)

    def signer(self, service: str) -> Any:
        """Return a client that signs for AWS's own endpoint, whatever endpoint_url names."""
        own: Any = {"ignore_configured_endpoint_urls": True, "use_dualstack_endpoint": False}
        key = (f"{service}, signer", None, False, None, 0)
        with self._lock:
            self.load_credentials()
            if key not in self._clients:
                with readable_settings("the AWS configuration cannot be used"):
                    self._clients[key] = self._maker(service)(service, config=BotocoreConfig(**own))
            return self._clients[key]

    def close(self) -> None:
        """Close the connections of the clients; a session that is used again opens new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def client(
        self,
        service: str,
        *,
        region: str | None = None,
        retries: bool = True,
        timeout: float | None = None,
        attempts: int = 2,
    ) -> Any:
        """Return the client of a service, created at the first call.

        The retry mode is botocore's `standard` with 9 attempts, unless the user's environment or
        AWS configuration file sets another: a Config would override both. Without `retries` a
        call is sent once in any case. `timeout` is the seconds to wait for a connection, and then
        for an answer, in each of `attempts`; None for CONNECT_SECONDS, and botocore's minute.
        """
        with self._lock:
            self.load_credentials()
            key = (service, region, retries, timeout, attempts)
            if key not in self._clients:
                with readable_settings("the AWS configuration cannot be used"):
                    settings = self._settings(retries=retries, timeout=timeout, attempts=attempts)
                    client: Any = self._maker(service)(service, region_name=region, config=settings)
                use_modeled_errors(client)
                client.meta.events.register("before-call.*", self._before_call)
                client.meta.events.register("before-parse.*", check_result)
                client.meta.events.register("after-call.*", self._after_call)
                client.meta.events.register("after-call-error.*", self._after_error)
                patient = retries and timeout is None and not self._chosen_retries()
                self.outages.watch(client, patient=patient)
                self._clients[key] = client
            return self._clients[key]

    def _maker(self, service: str) -> Callable[..., Any]:
        """Return what makes the clients of a service: boto3 those of S3, with its downloads.

        It takes a twelfth of an unchanged create to import boto3, and all else is botocore's.
        """
        if service != "s3":
            return self._session.create_client
        import boto3

        if self._boto3 is None:
            self._boto3 = boto3.Session(botocore_session=self._session)
        maker: Callable[..., Any] = self._boto3.client
        return maker

    def load_credentials(self) -> None:
        """Load the credentials once, in the main thread: an MFA code may be asked for."""
        if self._has_credentials:
            return
        core, source = self._session, SourceOfCredentials()
        with readable_settings():
            refuse_special_files(core.get_scoped_config())
            resolver = core.get_component("credential_provider")
            install_prompt(resolver)
            source.watch(resolver)
        with readable_settings(source=source):
            credentials = self._session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()
        self._has_credentials = True

    def _settings(self, *, retries: bool, timeout: float | None, attempts: int) -> BotocoreConfig:
        settings: dict[str, Any] = {
            "max_pool_connections": 32,
            "user_agent_extra": USER_AGENT,
            "connect_timeout": CONNECT_SECONDS,
        }
        if timeout:
            settings |= {"connect_timeout": timeout, "read_timeout": timeout}
            times = {"mode": "standard", "total_max_attempts": attempts}
            return BotocoreConfig(**settings, retries=times)  # type: ignore[arg-type]
        if not retries:
            return BotocoreConfig(**settings, retries={"mode": "standard", "total_max_attempts": 1})
        if not self._chosen_retries():
            settings["retries"] = {"mode": "standard", "total_max_attempts": MAX_ATTEMPTS}
        return BotocoreConfig(**settings)

    def _chosen_retries(self) -> bool:
        """Whether the user's environment or AWS configuration says how often calls are tried."""
        core = self._session
        chosen = any(
            core.get_config_variable(name) is not None and name in core.get_scoped_config()
            for name in ("retry_mode", "max_attempts")
        )
        return chosen or bool({"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & os.environ.keys())

    def _before_call(self, model: Any, **_: Any) -> None:
        """Stop a call that writes where the run may not; the run lock's own calls pass."""
        if is_write(model):
            before_write()
            self._count_write(model)

    def _count_write(self, model: Any) -> None:
        with self._lock:
            self._writes[model.service_model.service_name] += 1

    def _after_error(self, event_name: str, **_: Any) -> None:
        """Count a write without an answer as one that may just have been done."""
        with self._lock:
            self._writes[event_name.split(".")[1]] += 1

    def writes(self, services: Sequence[str] = ()) -> int:
        """Return how often a write of some services, or of any, has begun or ended so far."""
        with self._lock:
            return sum(self._writes[service] for service in services or self._writes)

    def _after_call(
        self, http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any
    ) -> None:
        """Count the call, log its request id, and refuse answers of other servers."""
        meta = parsed.get("ResponseMetadata", {})
        if is_write(model):
            self._count_write(model)
        with self._lock:
            self.calls += 1
            self.clock_skew = clock_skew(meta.get("HTTPHeaders", {}), default=self.clock_skew)
        log.debug(
            "%s.%s %s request %s %s",
            model.service_model.service_name,
            model.name,
            http_response.status_code,
            meta.get("RequestId", "-"),
            parsed.get("Error", ""),
        )
        if model.service_model.service_name != "s3":  # its bodies are streamed, and no lists
            check_answer(http_response, parsed, protocol=str(model.service_model.protocol))


def download_errors() -> tuple[type[Exception], ...]:
    """Return what a download raises when it broke too often: boto3's own class, not botocore's."""
    from boto3.exceptions import Boto3Error

    return (Boto3Error,)


def error_code(error: BaseException) -> str:
    """Return AWS's error code of a ClientError, and '' of anything else."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def pages(client: Any, operation: str, key: str, **arguments: Any) -> list[Any]:
    """Return every item that a paginated list call returns under `key`."""
    found: list[Any] = []
    for page in client.get_paginator(operation).paginate(**arguments):
        found.extend(page.get(key, []))
    return found
