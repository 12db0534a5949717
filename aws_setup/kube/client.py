"""The door to the Kubernetes API: a client that signs its own tokens, and thin typed calls.

Objects travel as the API's own JSON: what others put into them comes back unchanged.
"""

from __future__ import annotations

import base64
import copy
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream.ws_client import portforward_call

from aws_setup.engine.wait import Clock
from aws_setup.errors import SetupError
from aws_setup.kube.eks_token import Tokens
from aws_setup.kube.retry import Patience

Json = dict[str, Any]

TIMEOUT = (5.0, 30.0)
"""Seconds to connect and to read."""

NO_SUCH_HOST = "nobody knows the host name of its endpoint"


@dataclass(frozen=True)
class ResourceType:
    """A kind of object: where the API keeps it."""

    version: str
    plural: str
    namespaced: bool = True

    def path(self, name: str = "", namespace: str = "") -> str:
        """Return the path of one object, or of the whole list."""
        root = "/api/" if "/" not in self.version else "/apis/"
        spaced = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        named = f"/{quote(name)}" if name else ""
        return f"{root}{self.version}{spaced}/{self.plural}{named}"


NAMESPACE = ResourceType("v1", "namespaces", namespaced=False)
NODE = ResourceType("v1", "nodes", namespaced=False)
VOLUME = ResourceType("v1", "persistentvolumes", namespaced=False)
CONFIG_MAP = ResourceType("v1", "configmaps")
SECRET = ResourceType("v1", "secrets")
SERVICE = ResourceType("v1", "services")
SERVICE_ACCOUNT = ResourceType("v1", "serviceaccounts")
POD = ResourceType("v1", "pods")
CLAIM = ResourceType("v1", "persistentvolumeclaims")
EVENT = ResourceType("v1", "events")
DEPLOYMENT = ResourceType("apps/v1", "deployments")
STATEFUL_SET = ResourceType("apps/v1", "statefulsets")
JOB = ResourceType("batch/v1", "jobs")
STORAGE_CLASS = ResourceType("storage.k8s.io/v1", "storageclasses", namespaced=False)


class KubeError(SetupError):
    """The API server refused a request; `status` is its HTTP status, 0 when it did not answer."""

    def __init__(self, what: str, why: str, hint: str, *, status: int) -> None:
        super().__init__(what, why, hint)
        self.status = status


@dataclass(frozen=True)
class ClusterEndpoint:
    """How the cluster is reached: its address and the CA (PEM text) that vouches for it."""

    server: str
    authority: str


class KubeClient:
    """The API server of one cluster; safe to use from many threads."""

    def __init__(
        self,
        api: Any,
        clock: Clock,
        *,
        tokens: Tokens | None = None,
        reach: ClusterEndpoint | None = None,
    ) -> None:
        self._api, self._clock, self._tokens = api, clock, tokens
        self._patience = Patience(clock)
        self._note: Callable[[str], None] = lambda _: None
        self.reach = reach

    def telling(self, note: Callable[[str], None]) -> KubeClient:
        """Return the same door; what its requests wait for is told to `note`."""
        own = copy.copy(self)
        own._note = note
        return own

    @classmethod
    def of_eks(cls, reach: ClusterEndpoint, tokens: Tokens, clock: Clock) -> KubeClient:
        """Return the door to an EKS cluster; tokens are signed in this process."""
        settings = kubernetes_client.Configuration(
            host=reach.server, ca_cert_data=reach.authority, retries=False
        )
        api = kubernetes_client.ApiClient(settings)
        return cls(api, clock, tokens=tokens, reach=reach)

    @classmethod
    def of_kubeconfig(cls, path: str | None, context: str | None, clock: Clock) -> KubeClient:
        """Return the door that an existing kubeconfig opens.

        Raises:
            SetupError: the file or the context does not exist, or says nothing usable.
        """
        try:
            api = kubernetes_config.new_client_from_config(path, context)
        except (kubernetes_config.ConfigException, OSError) as error:
            raise SetupError(
                f"the kubeconfig {path} cannot be used",
                " ".join(str(error).split()),
                "correct kubeconfig_path and kube_context, or remove both keys",
            ) from error
        return cls(api, clock)

    def elsewhere(self, reach: ClusterEndpoint) -> str:
        """Return where this door leads when that is another cluster, '' when it is the right one.

        A tunnel has an address of its own and the cluster's own authority.
        """
        settings = self._api.configuration
        host, file = str(settings.host).rstrip("/"), settings.ssl_ca_cert
        if host == reach.server.rstrip("/") or not file:
            return ""
        authority = Path(file).read_text(encoding="utf-8")
        return "" if authority.strip() == reach.authority.strip() else host

    def token(self) -> str:
        """Return a new token, for a program that is started with one and cannot renew it."""
        return self._tokens.fresh() if self._tokens else ""

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json | None:
        """Return an object; None only when the API says that it does not exist."""
        try:
            return self.request("GET", kind.path(name, namespace))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: ResourceType, namespace: str = "", *, labels: str = "") -> list[Json]:
        """Return every object of a kind in a namespace, of those labels where given."""
        query = {"labelSelector": labels} if labels else {}
        answer = self.request("GET", kind.path(namespace=namespace), query=query)
        return list(answer.get("items") or [])

    def create(self, kind: ResourceType, body: Json, namespace: str = "") -> Json:
        """Make an object, or return the one of the same name that is there already."""
        try:
            return self.request("POST", kind.path(namespace=namespace), body=body)
        except KubeError as error:
            name = body["metadata"]["name"]
            there = self.get(kind, name, namespace) if error.status == 409 else None
            if there is None:
                raise
            return there

    def replace(self, kind: ResourceType, body: Json, namespace: str = "") -> Json:
        """Replace an object; a stale resourceVersion raises KubeError with status 409."""
        path = kind.path(body["metadata"]["name"], namespace)
        return self.request("PUT", path, body=body)

    def patch(self, kind: ResourceType, name: str, body: Json, namespace: str = "") -> Json:
        """Merge some fields into an object."""
        return self.request(
            "PATCH",
            kind.path(name, namespace),
            body=body,
            content="application/merge-patch+json",
        )

    def delete(self, kind: ResourceType, name: str, namespace: str = "") -> None:
        """Delete an object and what it owns; already gone is fine."""
        try:
            self.request(
                "DELETE", kind.path(name, namespace), query={"propagationPolicy": "Background"}
            )
        except KubeError as error:
            if error.status != 404:
                raise

    def last_line(self, pod: str, namespace: str, *, container: str = "") -> str:
        """Return the last line that a pod logged, '' when it has none to give."""
        query = {"tailLines": "1"} | ({"container": container} if container else {})
        try:
            text = self._send("GET", f"{POD.path(pod, namespace)}/log", query=query)
        except KubeError as error:
            if error.status in (400, 404):
                return ""
            raise
        return text.strip().splitlines()[-1] if text.strip() else ""

    def forward(self, pod: str, namespace: str, port: int) -> socket.socket:
        """Return a connection to a port of a pod, through the API server.

        Raises:
            KubeError: the API server refuses it, or does not answer.
        """
        path = f"{POD.path(pod, namespace)}/portforward"
        url = f"{self._api.configuration.host.rstrip('/')}{path}?{urlencode({'ports': port})}"
        headers = {name.lower(): value for name, value in self._authorization().items()}
        try:
            with self._settings_with_authority_file() as settings:
                ways = portforward_call(settings, "GET", url, headers=headers)
        except ApiException as error:
            why = " ".join(str(error.reason).split())
            raise KubeError(
                f"no port of the pod {pod} can be reached", why, REQUEST_FAILED, status=0
            ) from error
        connection: socket.socket = ways.socket(port)
        return connection

    @contextmanager
    def _settings_with_authority_file(self) -> Iterator[Any]:
        """Yield the client's settings for a WebSocket, which takes the CA from a file only."""
        if self.reach is None:
            yield self._api.configuration
            return
        settings = copy.copy(self._api.configuration)
        with TemporaryDirectory(prefix="lambda-fs-") as folder:
            authority = Path(folder, "ca.pem")
            authority.write_text(self.reach.authority, encoding="utf-8")
            settings.ssl_ca_cert = str(authority)
            yield settings

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
    ) -> Json:
        """Send one request and return the answer's JSON.

        Raises:
            KubeError: the API server refused, or did not answer in many tries.
        """
        text = self._send(method, path, query=query, body=body, content=content)
        answer: Json = json.loads(text) if text else {}
        return answer

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
    ) -> str:
        url = self._api.configuration.host.rstrip("/") + path
        url += f"?{urlencode(query)}" if query else ""
        began = self._clock.now()
        for attempt in count(1):
            status, text = self._admitted(method, url, body, content)
            if status:
                self._patience.heard()
            if 200 <= status < 300:
                return text
            # The endpoint's name goes with its cluster: to ask again would only take time.
            lost = NO_SUCH_HOST in text and not self._patience.known
            if lost or not self._patience.again(attempt, status, began=began, note=self._note):
                break
        raise KubeError(*to_kube_error(method, path, status, text), status=status)

    def _admitted(self, method: str, url: str, body: Json | None, content: str) -> tuple[int, str]:
        """Return status and text of one try; a token that is refused is signed anew, once."""
        status, text = self._once(method, url, body, content)
        if status == 401 and self._tokens:
            self._tokens.drop()
            status, text = self._once(method, url, body, content)
            if status == 401:
                self._tokens.prove()
        return status, text

    def _once(self, method: str, url: str, body: Json | None, content: str) -> tuple[int, str]:
        """Return status and text of one try; status 0 and the reason when nobody answered."""
        headers = {"Accept": "application/json, */*", "Content-Type": content}
        headers |= self._authorization()
        text = json.dumps(body) if body is not None and "json" in content else None
        try:
            answer = self._api.rest_client.pool_manager.request(
                method,
                url,
                body=text,
                headers=headers,
                timeout=urllib3.Timeout(connect=TIMEOUT[0], read=TIMEOUT[1]),
                retries=False,
            )
        except urllib3.exceptions.NameResolutionError as error:
            return 0, f"{NO_SUCH_HOST}: {error}"
        except urllib3.exceptions.HTTPError as error:
            return 0, " ".join(str(error).split())
        return int(answer.status), answer.data.decode("utf-8", "replace")

    def _authorization(self) -> dict[str, str]:
        if self._tokens:
            return {"Authorization": f"Bearer {self._tokens.get()}"}
        every = self._api.configuration.auth_settings().values()
        values = [one["value"] for one in every if one.get("in") == "header" and one.get("value")]
        return {"Authorization": str(values[0])} if values else {}


REQUEST_FAILED = (
    "your address may have changed: `create_aws_infrastructure.py create` opens the public "
    "endpoint for it again"
)
"""The mend when nobody answers."""

HINTS = {
    401: "have somebody who may add your ARN to cluster_admins and run this again, or use the "
    "credentials that made the cluster",
    403: "your access entry lacks AmazonEKSClusterAdminPolicy: add your ARN to cluster_admins",
}
"""HTTP status -> mend."""


def to_kube_error(method: str, path: str, status: int, text: str) -> tuple[str, str, str]:
    """Return what was refused, why, and the mend; status 0 means that nobody answered."""
    if not status:
        return "the cluster's API server does not answer", text, REQUEST_FAILED
    try:
        why = str(json.loads(text).get("message") or text)
    except (ValueError, AttributeError):
        why = text
    if status == 401:
        why = "your IAM principal has no access to this cluster's Kubernetes objects"
    what = f"Kubernetes refused {method} {path.rsplit('/', 1)[-1]} ({status})"
    return what, " ".join(why.split()), HINTS.get(status, HINT_RERUN_HELPFUL)


HINT_RERUN_HELPFUL = "run the same command again; -v shows more"


def decode_secret(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return a Secret's data as text."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def encode_secret(data: Mapping[str, str]) -> dict[str, str]:
    """Return text as a Secret's data."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
