"""The deployment's OpenWhisk under another name or namespace than the configured ones.

It is found by both. With others a run would install a second OpenWhisk without NameNodes, and leave
the first one with its load balancers and volumes, which are billed and hold the actions.
"""

from __future__ import annotations

from aws_setup.aws.context import Context
from aws_setup.errors import Refused
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import owner_labels
from aws_setup.kube.errors import KubeError
from aws_setup.kube.objects import SECRET

SUFFIX = "-lambda-fs"
"""What the name of the Secret with OpenWhisk's keys has after that of the release."""


def refuse_renamed_release(ctx: Context, client: KubeClient) -> None:
    """Refuse to go on where the deployment has OpenWhisk elsewhere in the cluster.

    To be called where the configured release has no keys. Who may not list the Secrets of all
    namespaces is not refused.

    Raises:
        Refused: with the names that the deployment's OpenWhisk has.
    """
    config = ctx.config
    labels = ",".join(f"{key}={value}" for key, value in owner_labels(config).items())
    try:
        owned = [item["metadata"] for item in client.list(SECRET, labels=labels)]
    except KubeError:
        return
    for metadata in owned:
        name, namespace = str(metadata["name"]), str(metadata["namespace"])
        if not name.endswith(SUFFIX) or metadata.get("deletionTimestamp"):
            continue
        release = name.removesuffix(SUFFIX)
        if (release, namespace) == (config.openwhisk_release, config.openwhisk_namespace):
            continue  # Another run has created it since this one looked.
        raise Refused(
            f"the deployment's OpenWhisk is release {release} in namespace {namespace}",
            f"the configuration names {config.openwhisk_release} in {config.openwhisk_namespace}: "
            "a second one would have no NameNodes, and both would be billed",
            f"set openwhisk_release: {release} and openwhisk_namespace: {namespace}; for others, "
            "run `python configure_eks_cluster.py destroy` with these first",
        )
