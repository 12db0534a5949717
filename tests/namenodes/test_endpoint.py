"""Where the API host is searched, and how its certificate is checked."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_setup.errors import Refused, SetupError
from aws_setup.namenodes.action import Body
from aws_setup.namenodes.client import StatusError
from aws_setup.namenodes.endpoint import (
    EndpointOptions,
    EndpointSource,
    EndpointSources,
    find_endpoint,
    host_url,
)
from aws_setup.openwhisk import credentials_file
from aws_setup.openwhisk.credentials_file import OpenWhiskCredentials
from aws_setup.rehearsal.openwhisk.faults import Fault, HttpFaultKind
from aws_setup.rehearsal.openwhisk.server import (
    AUTH,
    Certificate,
    OpenWhiskServer,
    self_signed,
    serve,
)
from tests.support.openwhisk import client_of

KEY = "u:k"


def sources(
    tmp_path: Path, *, access: OpenWhiskCredentials | None = None, **environment: str
) -> EndpointSources:
    return EndpointSources(
        environment, tmp_path, (EndpointSource("the deployment", lambda: access),)
    )


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("host", "https://host"),
        ("host:31001", "https://host:31001"),
        ("http://host:80/", "http://host:80"),
        ("https://host", "https://host"),
        (" host/ ", "https://host"),
        ("10.0.0.7", "https://10.0.0.7"),
    ],
)
def test_api_hosts_read_as_wsk_reads_them(text: str, url: str) -> None:
    assert host_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "http://", "a b", "http://h/api", "h:port", "http://u:p@h", "h:99999"]
)
def test_what_is_no_api_host_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        host_url(text)


def test_the_properties_file_as_wsk_reads_it(tmp_path: Path) -> None:
    (tmp_path / ".wskprops").write_text(
        "# comment\nAPIHOST=http://file:80\nAUTH=a:b # mine\nNAMESPACE=x\n\n APIVERSION = v2 \n"
        "nonsense\n"
    )
    found = credentials_file.read({}, tmp_path)
    assert {key: item.value for key, item in found.items()} == {
        "APIHOST": "http://file:80",
        "AUTH": "a:b",
        "APIVERSION": "v2",
    }


def test_wsk_config_file_replaces_the_one_at_home(tmp_path: Path) -> None:
    (tmp_path / ".wskprops").write_text("APIHOST=home\nAUTH=home:key\n")
    other = tmp_path / "other"
    other.write_text("APIHOST=other\n")
    found = credentials_file.read({"WSK_CONFIG_FILE": str(other)}, tmp_path)
    assert {key: item.value for key, item in found.items()} == {"APIHOST": "other"}
    assert credentials_file.read({"WSK_CONFIG_FILE": str(tmp_path / "none")}, tmp_path) == {}
    with pytest.raises(Refused, match="cannot be read"):
        credentials_file.read({"WSK_CONFIG_FILE": str(tmp_path)}, tmp_path)


def test_flag_over_variable_over_file_over_deployment(tmp_path: Path) -> None:
    access = OpenWhiskCredentials("http://deployment", "d:d")
    assert (
        find_endpoint(EndpointOptions(), sources(tmp_path, access=access)).url
        == "http://deployment"
    )
    (tmp_path / ".wskprops").write_text("APIHOST=file\nAUTH=f:f\nCERT=c.pem\nKEY=k.pem\n")
    found = find_endpoint(EndpointOptions(), sources(tmp_path, access=access))
    assert (found.url, found.auth, found.cert, found.key) == (
        "https://file",
        "f:f",
        "c.pem",
        "k.pem",
    )
    environment = {"WHISK_APIHOST": "variable", "WHISK_AUTH": "v:v", "WHISK_APIVERSION": "v9"}
    found = find_endpoint(EndpointOptions(), sources(tmp_path, access=access, **environment))
    assert (found.url, found.auth, found.api_version) == ("https://variable", "v:v", "v9")
    found = find_endpoint(
        EndpointOptions("flag", "x:y"), sources(tmp_path, access=access, **environment)
    )
    assert (found.url, found.auth) == ("https://flag", "x:y")
    assert found.source == "the command line"


def test_a_deployment_s_key_and_pin_go_to_its_own_host_only(tmp_path: Path) -> None:
    access = OpenWhiskCredentials("https://deployment", "d:d", "ab" * 32)
    same = find_endpoint(EndpointOptions(apihost="deployment"), sources(tmp_path, access=access))
    assert (same.auth, same.fingerprint) == ("d:d", "ab" * 32)
    with pytest.raises(Refused, match="no key for the API host"):
        find_endpoint(EndpointOptions(apihost="other"), sources(tmp_path, access=access))
    other = find_endpoint(
        EndpointOptions(apihost="other", auth=KEY), sources(tmp_path, access=access)
    )
    assert other.fingerprint == ""


def test_the_cluster_is_asked_only_when_something_is_missing(tmp_path: Path) -> None:
    asked: list[str] = []

    def cluster() -> OpenWhiskCredentials:
        asked.append("cluster")
        return OpenWhiskCredentials("http://in-cluster:80", "c:c")

    sources = (
        EndpointSource("file", lambda: None),
        EndpointSource("cluster", cluster, remote=True),
    )
    everywhere = EndpointSources({}, tmp_path, sources)
    find_endpoint(EndpointOptions("host", KEY), everywhere)
    assert asked == []
    found = find_endpoint(EndpointOptions(), everywhere)
    assert (found.url, found.auth, found.source) == ("http://in-cluster:80", "c:c", "cluster")


def test_without_any_source_the_tried_ones_are_listed(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot determine the OpenWhisk API host") as refused:
        find_endpoint(EndpointOptions(), sources(tmp_path))
    assert ".wskprops" in refused.value.problems[0].why
    with pytest.raises(Refused, match="uuid:key"):
        find_endpoint(EndpointOptions("host", "no-colon"), sources(tmp_path))


def test_secrets_stay_out_of_what_is_shown(tmp_path: Path) -> None:
    endpoint = find_endpoint(EndpointOptions("host", "user:secret"), sources(tmp_path))
    assert "secret" not in repr(endpoint)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return self_signed()


@pytest.fixture
def secure(certificate: Certificate) -> Iterator[OpenWhiskServer]:
    whisk = OpenWhiskServer()
    with serve(whisk, certificate=certificate):
        yield whisk


def fingerprint(certificate: Certificate) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.pem.decode())).hexdigest()


def test_the_pinned_certificate_is_accepted_whatever_names_it_has(
    secure: OpenWhiskServer, certificate: Certificate
) -> None:
    assert client_of(secure.url, fingerprint=fingerprint(certificate)).listing() == []


def test_another_certificate_is_refused_before_the_key_is_sent(secure: OpenWhiskServer) -> None:
    with pytest.raises(SetupError, match="another certificate"):
        client_of(secure.url, fingerprint=fingerprint(self_signed())).listing()
    assert secure.requests == {}


def test_an_unknown_self_signed_certificate_is_refused_unless_insecure(
    secure: OpenWhiskServer,
) -> None:
    with pytest.raises(SetupError, match="is not trusted") as refused:
        client_of(secure.url).listing()
    assert "-i" in refused.value.problems[0].hint
    assert secure.requests == {}
    assert client_of(secure.url, insecure=True).listing() == []


def test_tls_to_a_plain_port_says_so() -> None:
    whisk = OpenWhiskServer()
    with serve(whisk) as url, pytest.raises(SetupError, match="does not use TLS") as refused:
        client_of(url.replace("http:", "https:")).listing()
    assert "http://127.0.0.1" in refused.value.problems[0].hint


def test_plain_http_to_a_tls_port_fails_with_the_address(secure: OpenWhiskServer) -> None:
    with pytest.raises(SetupError, match="no success within"):
        client_of(secure.url.replace("https:", "http:")).listing()


def test_the_key_of_the_stand_in_is_needed(
    secure: OpenWhiskServer, certificate: Certificate
) -> None:
    client = client_of(secure.url, fingerprint=fingerprint(certificate), auth=AUTH + "x")
    with pytest.raises(SetupError, match="authentication"):
        client.listing()


@pytest.mark.parametrize("fault", [HttpFaultKind.RESET_BEFORE, HttpFaultKind.RESET_AFTER])
def test_a_broken_tls_connection_passes(
    secure: OpenWhiskServer, certificate: Certificate, fault: HttpFaultKind
) -> None:
    secure.faults.pending.append(Fault(fault, method="GET", times=3))
    assert client_of(secure.url, fingerprint=fingerprint(certificate)).listing() == []
    assert secure.requests["GET"] == 4


def test_too_large_a_body_is_answered_by_nginx_while_it_is_sent(secure: OpenWhiskServer) -> None:
    huge = Body(b'{"code":"', memoryview(bytes(51 * 1024 * 1024)), b'"}')
    client = client_of(secure.url, insecure=True)
    with pytest.raises(StatusError) as refused:
        client.put("namenode0", huge, overwrite=True, sent=lambda _: None)
    assert refused.value.status == 413
    assert secure.store.actions == {}
