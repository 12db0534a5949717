"""How helm reaches the cluster of this deployment, and retries while the cluster is unreachable."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TypeVar

from aws_setup.aws.context import Context
from aws_setup.engine import go_yaml
from aws_setup.engine.retry import LOCAL_PROGRAM, Attempts
from aws_setup.errors import SetupError
from aws_setup.kube.client import KubeClient
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import NAMESPACE
from aws_setup.openwhisk.helm import Helm, find_helm
from aws_setup.openwhisk.local_program import ProgramFailed

T = TypeVar("T")


def helm_of(ctx: Context) -> Helm:
    """Return helm for the release of this deployment.

    Raises:
        Refused: helm is missing or too old.
    """
    config = ctx.config
    names = (config.openwhisk_release, config.openwhisk_namespace)
    # It refuses a kubeconfig of another cluster, or an insecure one, before helm sends anything.
    client = kube_client(ctx)
    if config.kubeconfig_path or config.kube_context:
        path = (f"--kubeconfig={config.kubeconfig_path}",) if config.kubeconfig_path else ()
        context = (f"--kube-context={config.kube_context}",) if config.kube_context else ()
        return Helm(_path(ctx), *names, arguments=(*path, *context))
    return Helm(_path(ctx), *names, kubeconfig=lambda: private_kubeconfig(client))


def _path(ctx: Context) -> str:
    """Return helm's path; a run asks helm for its version once."""
    path: str = ctx.aws.shared.get(Helm, "")
    if not path:
        path = ctx.aws.shared[Helm] = find_helm()
    return path


def private_kubeconfig(client: KubeClient) -> str:
    """Return a kubeconfig with a new token, for one start of a program."""
    if client.endpoint is None:
        raise SetupError(
            "the cluster's address is not known", "the client uses kubeconfig_path", ""
        )
    cluster = {
        "server": client.endpoint.server,
        "certificate-authority-data": base64.b64encode(client.endpoint.authority.encode()).decode(),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lambda-fs", "cluster": cluster}],
        "users": [{"name": "lambda-fs", "user": {"token": client.token()}}],
        "contexts": [
            {"name": "lambda-fs", "context": {"cluster": "lambda-fs", "user": "lambda-fs"}}
        ],
        "current-context": "lambda-fs",
    }
    return go_yaml.dump(document)


def retry_when_unreachable(ctx: Context, act: Callable[[bool], T]) -> T:
    """Return what `act` returns; retry it, after a wait, when helm could not reach the API server.

    Args:
        ctx: the step's context.
        act: the operation; its argument is True when helm has already failed in it before.

    Raises:
        SetupError: helm failed for another reason, or the API server stays unreachable.
    """
    attempts = Attempts(ctx.clock)
    while True:
        try:
            return act(attempts.made > 1)
        except ProgramFailed as error:
            if not error.unreachable or LOCAL_PROGRAM.pause_after(attempts.made) is None:
                raise
            ctx.note("helm lost the connection to the API server: waiting for it, then retrying")
            # This waits while the API server restarts, and raises the reason if it is another.
            kube_client(ctx).get(NAMESPACE, ctx.config.openwhisk_namespace)
            attempts.again(LOCAL_PROGRAM)
