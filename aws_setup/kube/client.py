"""A client of the Kubernetes API that signs its own tokens, with thin typed calls."""

from __future__ import annotations

import copy
import json
import math
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import urllib3

from aws_setup.config.regular_files import read_file
from aws_setup.config.version import USER_AGENT
from aws_setup.engine.deadline import remaining, within
from aws_setup.engine.decoding import Undecodable, json_object
from aws_setup.engine.flag import Flag
from aws_setup.engine.http_deadline import (
    NOT_ACCEPTED,
    POOLS,
    AnswerTooLong,
    guarded,
    read_answer,
    why_broken,
)
from aws_setup.engine.proxies import refused_by_proxy
from aws_setup.engine.retry import BEING_DELETED, Attempts, retry_after
from aws_setup.engine.wait import Clock, format_duration
from aws_setup.engine.write_guard import before_write
from aws_setup.kube.answers import Answers
from aws_setup.kube.connection import ClusterConnection, ClusterEndpoint
from aws_setup.kube.eks_token import Tokens
from aws_setup.kube.errors import (
    HINT_FORWARD,
    HINT_PROXY,
    UNRESOLVED,
    KubeBadRequest,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeNotFound,
    to_kube_error,
)
from aws_setup.kube.objects import POD, Json, ResourceType, is_being_deleted
from aws_setup.kube.replies import Reply, retry_policy
from aws_setup.kube.shapes import checked

TIMEOUT = (5.0, 30.0)
"""Seconds to connect and to read."""

ANSWER_SECONDS = 120.0
"""Seconds for one request and its whole answer."""

ANSWER_LIMIT = 256 * 1024 * 1024
"""Bytes of an answer; etcd itself holds at most 8 GB, one of its values 1.5 MB."""


class KubeClient:
    """The API server of one cluster; safe to use from many threads."""

    def __init__(
        self,
        connection: ClusterConnection,
        clock: Clock,
        *,
        tokens: Tokens | None = None,
        endpoint: ClusterEndpoint | None = None,
    ) -> None:
        self._connection, self._clock, self._tokens = connection, clock, tokens
        self._pools = connection.pools
        # Before the first request, so that every connection has a deadline.
        self._pools.pool_classes_by_scheme = POOLS
        self._answered = Flag()
        self._note: Callable[[str], None] = lambda _: None
        self._limit = math.inf
        self._answers: Answers | None = None
        self.endpoint = endpoint

    def with_progress(self, note: Callable[[str], None]) -> KubeClient:
        """Return the same client; `note` is called when one of its requests is repeated."""
        client = copy.copy(self)
        client._note = note
        return client

    def with_answers(self, answers: Answers | None) -> KubeClient:
        """Return the same client, which asks for nothing that it finds among the answers."""
        client = copy.copy(self)
        client._answers = answers
        return client

    def with_limit(self, seconds: float) -> KubeClient:
        """Return the same client; no request, with its repeats, takes longer than this."""
        client = copy.copy(self)
        client._limit = seconds
        return client

    @classmethod
    def of_eks(cls, endpoint: ClusterEndpoint, tokens: Tokens, clock: Clock) -> KubeClient:
        """Return the client of an EKS cluster; tokens are signed in this process."""
        return cls(ClusterConnection.of_eks(endpoint), clock, tokens=tokens, endpoint=endpoint)

    @classmethod
    def of_kubeconfig(cls, path: str | None, context: str | None, clock: Clock) -> KubeClient:
        """Return the client that an existing kubeconfig describes.

        Raises:
            SetupError: the file or the context does not exist, is not usable, or not secure.
        """
        from aws_setup.kube.user_kubeconfig import open_kubeconfig  # imports kubernetes

        return cls(ClusterConnection.of_library(open_kubeconfig(path, context)), clock)

    def points_to_other_cluster(self, endpoint: ClusterEndpoint) -> str:
        """Return the client's URL unless it certainly leads to the cluster, else ''.

        It does when the URL is the cluster's own. A tunnel has a URL of its own, and has to present
        a certificate of the cluster's CA; with any other CA, or none, another server may answer.
        """
        settings = self._connection.settings()
        host, file = str(settings.host).rstrip("/"), settings.ssl_ca_cert
        if host == endpoint.server.rstrip("/"):
            return ""
        authority = read_file(Path(file)).decode("utf-8", "replace") if file else ""
        return "" if authority.strip() == endpoint.authority.strip() else host

    def token(self) -> str:
        """Return a new token, for a program that is started with one and cannot renew it."""
        return self._tokens.fresh() if self._tokens else ""

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json | None:
        """Return an object; None only when the API says that it does not exist."""
        if self._answers is not None and kind.namespaced and namespace == self._answers.listed:
            # Who may not list may still get: RBAC grants each verb alone.
            with suppress(KubeForbidden):
                found = (it for it in self.list(kind, namespace) if it["metadata"]["name"] == name)
                return next(found, None)
        try:
            return self.request("GET", kind.path(name, namespace), named=True)
        except KubeNotFound:
            return None

    def list(self, kind: ResourceType, namespace: str = "", *, labels: str = "") -> list[Json]:
        """Return every object of a type in a namespace, filtered by a label selector."""
        query = {"labelSelector": labels} if labels else {}
        path = kind.path(namespace=namespace)

        def ask() -> Json:
            return self.request("GET", path, query=query)

        answer = self._answers.of(f"{path}?{labels}", ask) if self._answers else ask()
        return list(answer.get("items") or [])

    def create(self, kind: ResourceType, body: Json, namespace: str = "") -> Json:
        """Create an object, or return the existing one of the same name.

        One that is being deleted is waited for: it is gone soon, and its name is free.

        Raises:
            KubeConflict: it is still being deleted after five minutes.
        """
        attempts = Attempts(self._clock)
        while True:
            try:
                return self.request("POST", kind.path(namespace=namespace), body=body)
            except KubeConflict:
                existing = self.get(kind, body["metadata"]["name"], namespace)
                if existing is not None and not is_being_deleted(existing):
                    return existing
                if not attempts.again(BEING_DELETED):
                    raise

    def replace(self, kind: ResourceType, body: Json, namespace: str = "") -> Json:
        """Replace an object; a stale resourceVersion raises KubeConflict."""
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
        query = {"propagationPolicy": "Background"}
        try:
            self.request("DELETE", kind.path(name, namespace), query=query)
        except KubeNotFound:
            return
        except KubeConflict:
            # Older servers refuse to delete a namespace that is being deleted already.
            existing = self.get(kind, name, namespace)
            if existing is not None and not is_being_deleted(existing):
                raise

    def last_line(self, pod: str, namespace: str) -> str:
        """Return the last line of a pod's log, '' when it has no log."""
        try:
            text = self._send("GET", f"{POD.path(pod, namespace)}/log", query={"tailLines": "1"})
        except (KubeBadRequest, KubeNotFound):
            return ""
        return text.strip().splitlines()[-1] if text.strip() else ""

    def forward(self, pod: str, namespace: str, port: int) -> socket.socket:
        """Return a connection to a port of a pod, through the API server.

        Raises:
            KubeError: the API server refuses it, or does not answer.
        """
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream.ws_client import portforward_call

        path = f"{POD.path(pod, namespace)}/portforward"
        url = f"{self._connection.server.rstrip('/')}{path}?{urlencode({'ports': port})}"
        headers = {name.lower(): value for name, value in self._authorization().items()}
        headers["user-agent"] = USER_AGENT
        try:
            with self._connection.web_socket_settings() as settings:
                forwarded = portforward_call(settings, "GET", url, headers=headers)
        except ApiException as error:
            why = " ".join(str(error.reason).split())
            what = f"no port of the pod {pod} can be reached"
            raise KubeError(what, why, HINT_FORWARD, status=0) from error
        connection: socket.socket = forwarded.socket(port)
        return connection

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
        named: bool = False,
    ) -> Json:
        """Send one request and return the answer's JSON; `named` if it must be an object.

        Raises:
            KubeError: the API server refused, or did not answer in many tries.
        """
        text = self._send(method, path, query=query, body=body, content=content)
        try:
            return checked(json_object(text), named=named) if text else {}
        except Undecodable as error:
            what = f"{method} {path}: the API server sent no answer of Kubernetes"
            raise KubeError(what, str(error), HINT_PROXY, status=0) from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
    ) -> str:
        url = self._connection.server.rstrip("/") + path
        url += f"?{urlencode(query)}" if query else ""
        attempts = Attempts(self._clock)
        with within(self._limit, clock=self._clock):
            while True:
                if method != "GET":
                    before_write()
                    if self._answers is not None:
                        self._answers.forget()
                reply = self._send_authorized(method, url, body, content)
                if 200 <= reply.status < 300:
                    return reply.text
                if not self._wait_to_retry(attempts, reply):
                    raise to_kube_error(method, path, reply.status, reply.text)

    def _wait_to_retry(self, attempts: Attempts, reply: Reply) -> bool:
        """Pause before the next try and return True; False when there is none."""
        policy = retry_policy(reply, answered=self._answered.is_set())
        if policy is None:
            return False
        if attempts.made == 1:
            state = f"answers {reply.status}" if reply.status else "does not answer"
            limited = policy.deadline is not None and policy.attempts is None
            limit = f", up to {format_duration(policy.deadline or 0)}" if limited else ""
            self._note(f"the cluster's API server {state}: waiting for it{limit}")
        return attempts.again(policy, after=reply.retry_after)

    def _send_authorized(self, method: str, url: str, body: Json | None, content: str) -> Reply:
        """Return the outcome of one try; a refused token is renewed once.

        Raises:
            botocore.exceptions.ClientError: the AWS credentials themselves are refused.
        """
        reply = self._send_once(method, url, body, content)
        if reply.status == 401 and self._tokens:
            self._tokens.drop()
            reply = self._send_once(method, url, body, content)
            if reply.status == 401:
                self._tokens.check_credentials()
        if reply.status:
            self._answered.set()
        return reply

    def _send_once(self, method: str, url: str, body: Json | None, content: str) -> Reply:
        headers = {"Accept": "application/json, */*", "Content-Type": content}
        headers["User-Agent"] = USER_AGENT
        headers |= self._authorization()
        text = json.dumps(body) if body is not None and "json" in content else None
        connect, read = map(remaining, TIMEOUT)
        seconds = remaining(ANSWER_SECONDS)
        late = Reply(0, f"no complete answer within {format_duration(seconds)}")
        with guarded(seconds) as guard:
            try:
                answer = self._pools.request(
                    method,
                    url,
                    body=text,
                    headers=headers,
                    timeout=urllib3.Timeout(connect=connect, read=read),
                    retries=False,
                    preload_content=False,
                )
                data = read_answer(answer, most=ANSWER_LIMIT) or b""
            except urllib3.exceptions.NameResolutionError:
                return Reply(0, UNRESOLVED, no_cluster=True)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                why = why_broken(error)
                elsewhere = NOT_ACCEPTED in why or refused_by_proxy(why)
                return late if guard.expired else Reply(0, why, no_cluster=elsewhere)
            except AnswerTooLong as error:
                raise KubeError(f"{method} {url}", str(error), HINT_PROXY, status=0) from None
        if guard.expired:
            return late
        text = data.decode("utf-8", "replace")
        return Reply(int(answer.status), text, retry_after(answer.headers))

    def _authorization(self) -> dict[str, str]:
        if self._tokens:
            return {"Authorization": f"Bearer {self._tokens.get()}"}
        settings = self._connection.settings().auth_settings().values()
        values = [item["value"] for item in settings if item.get("in") == "header"]
        header = next((value for value in values if value), None)
        return {"Authorization": str(header)} if header else {}
