"""Client ids of OIDC providers, added and removed one at a time.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
"""

from __future__ import annotations

from typing import Any

from aws_setup.rehearsal.cloud import Cloud
from aws_setup.rehearsal.rules import AwsError, Call


def _client_ids_of(cloud: Cloud, call: Call) -> list[str]:
    arn = call.params["OpenIDConnectProviderArn"]
    held = cloud.backend("iam").open_id_providers.get(arn)
    if held is None:
        message = f"OpenIDConnect Provider not found for arn {arn}"
        raise AwsError("NoSuchEntity", message, status=404)
    found: list[str] = held.client_id_list
    return found


def add_client_id(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer AddClientIDToOpenIDConnectProvider; an id that is there already is no error."""
    ids = _client_ids_of(cloud, call)
    if call.params["ClientID"] not in ids:
        ids.append(call.params["ClientID"])
    return {}


def remove_client_id(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer RemoveClientIDFromOpenIDConnectProvider; an id that is not there is no error."""
    ids = _client_ids_of(cloud, call)
    if call.params["ClientID"] in ids:
        ids.remove(call.params["ClientID"])
    return {}


OIDC_PROVIDER_ANSWERS = {
    ("iam", "AddClientIDToOpenIDConnectProvider"): add_client_id,
    ("iam", "RemoveClientIDFromOpenIDConnectProvider"): remove_client_id,
}
