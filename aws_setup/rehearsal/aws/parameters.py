"""Systems Manager's Parameter Store: parameters of the standard tier.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html
Not emulated: labels, policies, the advanced tier, and SecureString.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi, Resource

NAME = re.compile(r"^/?[a-zA-Z0-9_.\-]+(/[a-zA-Z0-9_.\-]+)*$")
RESERVED = re.compile(r"^/?(aws|ssm)", re.IGNORECASE)

DEEPEST = 15
"""Levels of a name."""

LARGEST = 4096
"""Bytes of a value in the standard tier."""

PAGE = 10
"""Parameters of a page, and names that one DeleteParameters takes."""


@dataclass
class Parameter:
    """A parameter, with the version and the time of its last write."""

    name: str
    value: str
    kind: str
    modified: datetime
    version: int = 1
    tags: dict[str, str] = field(default_factory=dict)

    def shown(self, cloud: CloudApi, region: str, account: str) -> dict[str, Any]:
        """Return the parameter as the read calls answer it."""
        return {
            "Name": self.name,
            "Type": self.kind,
            "Value": self.value,
            "Version": self.version,
            "LastModifiedDate": self.modified,
            "ARN": parameter_arn(cloud.settings.partition, region, account, self.name),
            "DataType": "text",
        }


class Parameters(dict[tuple[str, str], Parameter]):
    """All parameters by region and name."""


def parameter_arn(partition: str, region: str, account: str, name: str) -> str:
    """Return the ARN of a parameter or a path; its slash is that of the ARN."""
    return f"arn:{partition}:ssm:{region}:{account}:parameter/{name.lstrip('/')}"


def _check_name(name: str) -> None:
    if RESERVED.match(name) or not NAME.match(name) or name.count("/") > DEEPEST:
        message = f'Parameter name: can\'t be prefixed with "ssm" or "aws", or is not valid: {name}'
        raise AwsError("ValidationException", message)
    if "/" in name and not name.startswith("/"):
        message = "Parameter name must be a fully qualified name."
        raise AwsError("ValidationException", message)


def put_parameter(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer PutParameter; without Overwrite it fails where the name exists."""
    params, key = call.params, (call.region, call.params["Name"])
    _check_name(params["Name"])
    value, tags = params["Value"], params.get("Tags") or []
    if params.get("Overwrite") and tags:
        message = (
            "Invalid request: tags and overwrite can't be used together. To create a parameter "
            "with tags, please remove overwrite flag. To update tags for an existing parameter, "
            "please use AddTagsToResource or RemoveTagsFromResource."
        )
        raise AwsError("ValidationException", message)
    if len(value.encode()) > LARGEST or not value:
        raise AwsError("ValidationException", f"A value has 1 to {LARGEST} bytes.")
    if "{{" in value:
        raise AwsError("ValidationException", "Parameter value can't nest another parameter.")
    store = cloud.store_of(Parameters)
    existing = store.get(key)
    if existing is None:
        if "Type" not in params:
            raise AwsError("ValidationException", "A parameter type is required when you create.")
        held = {tag["Key"]: tag["Value"] for tag in tags}
        existing = Parameter(params["Name"], value, params["Type"], cloud.clock.today(), tags=held)
        store[key] = existing
    elif not params.get("Overwrite"):
        message = (
            "The parameter already exists. To overwrite this value, set the overwrite option in "
            "the request to true."
        )
        raise AwsError("ParameterAlreadyExists", message)
    else:
        existing.value, existing.modified = value, cloud.clock.today()
        existing.version += 1
    return {"Version": existing.version, "Tier": "Standard"}


def get_parameter(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetParameter."""
    found = cloud.store_of(Parameters).get((call.region, call.params["Name"]))
    if found is None:
        raise AwsError("ParameterNotFound", "")
    return {"Parameter": found.shown(cloud, call.region, call.account)}


def get_parameters_by_path(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer GetParametersByPath: the level below a path, with Recursive all levels."""
    params, path = call.params, call.params["Path"].rstrip("/")
    if not params["Path"].startswith("/"):
        raise AwsError("ValidationException", "The parameter path must begin with a slash.")
    most = int(params.get("MaxResults") or PAGE)
    if not 1 <= most <= PAGE:
        raise AwsError("ValidationException", f"MaxResults is 1 to {PAGE}.")
    found = [
        parameter
        for (region, name), parameter in sorted(cloud.store_of(Parameters).items())
        if region == call.region
        and name.startswith(f"{path}/")
        and (params.get("Recursive") or "/" not in name.removeprefix(f"{path}/"))
    ]
    start = int(params.get("NextToken") or 0)
    shown = found[start : start + most]
    more = {"NextToken": str(start + most)} if start + most < len(found) else {}
    return {"Parameters": [p.shown(cloud, call.region, call.account) for p in shown]} | more


def delete_parameters(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer DeleteParameters: names that do not exist are listed, and are no error."""
    names = call.params["Names"]
    if not 1 <= len(names) <= PAGE:
        raise AwsError("ValidationException", f"Names has 1 to {PAGE} members.")
    store = cloud.store_of(Parameters)
    gone = [name for name in names if store.pop((call.region, name), None)]
    return {
        "DeletedParameters": gone,
        "InvalidParameters": [name for name in names if name not in gone],
    }


def list_tags(cloud: CloudApi, call: Call) -> dict[str, Any]:
    """Answer ListTagsForResource of a parameter."""
    found = cloud.store_of(Parameters).get((call.region, call.params["ResourceId"]))
    if call.params["ResourceType"] != "Parameter" or found is None:
        raise AwsError("InvalidResourceId", "The resource ID isn't valid.")
    return {"TagList": [{"Key": key, "Value": value} for key, value in found.tags.items()]}


def list_resources(cloud: CloudApi) -> list[Resource]:
    """List the parameters; those of the standard tier are not billed."""
    return [
        Resource("ssm", "parameter", name, region, tags=parameter.tags)
        for (region, name), parameter in cloud.store_of(Parameters).items()
    ]


ANSWERS = {
    ("ssm", "PutParameter"): put_parameter,
    ("ssm", "GetParameter"): get_parameter,
    ("ssm", "GetParametersByPath"): get_parameters_by_path,
    ("ssm", "DeleteParameters"): delete_parameters,
    ("ssm", "ListTagsForResource"): list_tags,
}
