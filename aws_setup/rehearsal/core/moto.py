"""The adapter of moto: its backends, its answers, and its reset."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from typing import Any

from aws_setup.rehearsal.core import moto_answers, moto_filters, moto_offerings
from aws_setup.rehearsal.core.accounts import current_account
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest, to_moto_request
from aws_setup.rehearsal.core.types import AwsError, Call

RESPONSES = {
    "autoscaling": "moto.autoscaling.responses:AutoScalingResponse",
    "ec2": "moto.ec2.responses:EC2Response",
    "eks": "moto.eks.responses:EKSResponse",
    "elb": "moto.elb.responses:ELBResponse",
    "elbv2": "moto.elbv2.responses:ELBV2Response",
    "iam": "moto.iam.responses:IamResponse",
    "service-quotas": "moto.servicequotas.responses:ServiceQuotasResponse",
    "ssm": "moto.ssm.responses:SimpleSystemManagerResponse",
    "sts": "moto.sts.responses:TokenResponse",
}
"""moto's class for each service; other services are answered by rules."""

GLOBAL = {"iam", "sts"}
"""Services with one backend of moto for all regions."""


@functools.cache
def _responder(service: str) -> Any:
    if service not in RESPONSES:
        raise AwsError("InvalidAction", f"the rehearsal cloud does not emulate {service}")
    module, _, name = RESPONSES[service].partition(":")
    return getattr(importlib.import_module(module), name)


def backend(service: str, region: str, *, partition: str = "aws") -> Any:
    """Return moto's backend of a service in a region, or in a partition if it is global."""
    from moto.backends import get_backend

    name: Any = service.replace("-", "")
    region_key = partition if service in GLOBAL else region
    found: Any = get_backend(name)[current_account()]
    return found[region_key]


def backends_by_region(service: str) -> dict[str, Any]:
    """Return moto's backends of a service by region, of the regions used so far."""
    from moto.backends import get_backend

    name: Any = service.replace("-", "")
    return dict(get_backend(name)[current_account()].items())


def ask_moto(call: Call, request: HttpRequest, request_id: str = "-") -> HttpAnswer:
    """Return moto's answer to a request; raises AwsError where moto does not implement it."""
    responder = _responder(call.service)
    # Else moto searches the caller's key in IAM's backends of all partitions, and creates them.
    os.environ["MOTO_ACCOUNT_ID"] = current_account()
    moto_request = to_moto_request(call.service, call.region, request)
    try:
        status, headers, body = responder()._dispatch(
            moto_request, moto_request.raw_url, moto_request.headers
        )
    except NotImplementedError as error:
        code = "InvalidParameterValue" if "filter" in str(error).lower() else "InvalidAction"
        raise AwsError(code, f"not emulated: {error}") from error
    raw = body.encode() if isinstance(body, str) else bytes(body)
    response_headers = {str(key): str(value) for key, value in dict(headers).items()}
    raw = raw.replace(b">request-id<", f">{request_id}<".encode())
    response_headers["x-amzn-RequestId"] = request_id
    return HttpAnswer(status=int(status), body=raw, headers=response_headers)


def reset() -> None:
    """Empty every backend of moto: the cloud starts without resources."""
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    _share_loader()
    moto_offerings.install()
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data

    for backends in BackendDict._instances:
        for of_account in backends.values():
            of_account.clear()  # moto's cache of region names keeps this object, but now empty
        backends.clear()  # moto's reset would first build every backend again
    BackendDict._instances.clear()
    reset_model_data()
    if subnets := sys.modules.get("moto.ec2.models.subnets"):
        # An unbounded cache, whose keys are all subnets ever made, and with them their backends.
        subnets.Subnet._base_avail_ip_iterator.cache_clear()
    _keep_managed_policies()
    _keep_method_names()
    _look_tags_up()
    _make_no_unused_keys()
    moto_answers.install()
    moto_filters.install()


def _share_loader() -> None:
    """Have all sessions of botocore read a file once: moto makes dozens, and each reads endpoints.

    That took a third of the processor time until the rehearsal was ready.
    """
    import botocore.session

    if not hasattr(botocore.session.create_loader, "cache_info"):
        cached: Any = functools.cache(botocore.session.create_loader)
        botocore.session.create_loader = cached


def _keep_managed_policies() -> None:
    """Have moto read AWS's managed policies once per process: it takes a quarter of a second."""
    from moto.iam.models import IAMBackend

    if getattr(IAMBackend, "_read_once", False):
        return
    read: dict[str, list[Any]] = {}
    original = IAMBackend._init_aws_policies

    def policies(self: Any) -> list[Any]:
        if self.region_name not in read:
            read[self.region_name] = original(self)
        return [_copy(policy) for policy in read[self.region_name]]

    IAMBackend._init_aws_policies = policies
    IAMBackend._read_once = True


def _copy(policy: Any) -> Any:
    """Return a shallow copy; copy.copy takes ten times as long, for 1,500 policies of a cloud."""
    made = object.__new__(type(policy))
    made.__dict__.update(policy.__dict__)
    return made


def _keep_method_names() -> None:
    """Have moto list the methods of a service's class once: it takes 1 ms, for each request."""
    from moto.core import responses

    if not hasattr(responses.method_names_from_class, "cache_info"):
        cached: Any = functools.cache(responses.method_names_from_class)
        responses.method_names_from_class = cached


def _look_tags_up() -> None:
    """Have moto look a resource's tags up by its id: it compares each tag of all resources."""
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    def tags_of(self: Any) -> list[dict[str, str]]:
        tags = self.ec2_backend.tags.get(self.id) if self.id else None
        if not tags:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind}
            for key, value in tags.copy().items()
        ]

    TaggedEC2Resource.get_tags = tags_of


def _make_no_unused_keys() -> None:
    """Have moto give symmetric KMS keys no RSA key: one takes longer than ten calls of EC2.

    Each cloud has such a key for its disks; KMS itself is not emulated.
    """
    from moto.kms import models
    from moto.kms.utils import KeySpec

    generate = models.generate_private_key
    if hasattr(generate, "__wrapped__"):
        return

    @functools.wraps(generate)
    def asymmetric_only(key_spec: str) -> Any:
        return None if key_spec == KeySpec.SYMMETRIC_DEFAULT else generate(key_spec)

    models.generate_private_key = asymmetric_only
