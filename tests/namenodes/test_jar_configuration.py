"""The configuration in a jar: what does not fit a deployment, and the configured copy."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest

from aws_setup.errors import Refused
from aws_setup.namenodes.jar_configuration import (
    NDB,
    SITE,
    JarConfiguration,
    PropertyDifference,
    configured,
    desired_values,
    required,
)
from aws_setup.software.clients.desired import DeploymentFacts, NdbLogin

FACTS = DeploymentFacts(
    endpoint="https://elb.example.com:443/api/v1/web/guest/default/namenode",
    deployments=20,
    zookeepers=("10.0.8.233", "10.0.4.113"),
    manager="10.0.6.227",
    login=NdbLogin("user", "top-secret", "vanilla_hopsfs"),
)
AUTHORS_SITE = b"""<?xml version="1.0"?>
<configuration>
  <!-- of another deployment -->
  <property><name>serverless.endpoint</name><value>https://other/api/v1/web/whisk.system/default/namenode</value></property>
  <property><name>serverless.deployments.max</name><value>8</value></property>
  <property><name>serverless.deployments.baseline</name><value>20</value></property>
  <property><name>serverless.zookeepers.hosts</name><value>10.1.1.1:2181</value></property>
  <property><name>serverless.tcp.port</name><value>6000</value></property>
</configuration>
"""
AUTHORS_NDB = b"""# of another deployment
com.mysql.clusterj.connectstring=172.31.6.10:1186
com.mysql.clusterj.database=hops
io.hops.metadata.ndb.mysqlserver.host=172.31.6.10
io.hops.metadata.ndb.mysqlserver.port=3306
io.hops.metadata.ndb.mysqlserver.username=somebody
io.hops.metadata.ndb.mysqlserver.password=other-secret
"""


def jar(**files: bytes) -> bytes:
    """Return a jar with a class and these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/B.class", b"\xca\xfe\xba\xbe")
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def read(**files: bytes) -> JarConfiguration:
    """Return the configuration of a jar with these files."""
    return opened(jar(**files))


def opened(data: bytes) -> JarConfiguration:
    """Return the configuration of a jar."""
    return JarConfiguration.read(io.BytesIO(data), source="nn.jar")


def copy_of(data: bytes) -> bytes:
    """Return the configured copy of a jar."""
    return configured(data, FACTS, source="nn.jar")


BOTH = {SITE: AUTHORS_SITE, NDB: AUTHORS_NDB}


def test_every_property_of_another_deployment_is_named() -> None:
    found = read(**BOTH).differences(FACTS)
    assert [difference.name for difference in found] == [
        "serverless.endpoint",
        "serverless.deployments.max",
        "serverless.zookeepers.hosts",
        "com.mysql.clusterj.connectstring",
        "io.hops.metadata.ndb.mysqlserver.host",
        "com.mysql.clusterj.database",
        "io.hops.metadata.ndb.mysqlserver.username",
        "io.hops.metadata.ndb.mysqlserver.password",
    ]
    assert found[1].text == "serverless.deployments.max is 8, not 20"


def test_no_text_shows_a_password() -> None:
    configuration = read(**BOTH)
    shown = [str(problem) for problem in configuration.warnings(FACTS)]
    shown += [str(difference.document()) for difference in configuration.differences(FACTS)]
    shown.append(required((SITE, NDB), FACTS))
    assert "secret" not in "".join(shown)
    assert len(configuration.warnings(FACTS)) == 2


def test_the_copy_fits_and_keeps_everything_else() -> None:
    copy = copy_of(jar(**BOTH))
    after = opened(copy)
    assert after.differences(FACTS) == []
    assert copy == copy_of(copy) == copy_of(jar(**BOTH))
    assert after.site and after.ndb
    assert b"<!-- of another deployment -->" in after.site.data
    assert after.site.get("serverless.tcp.port") == "6000"
    assert after.ndb.data.startswith(b"# of another deployment\n")
    assert after.site.get("dfs.storage.driver.configfile") is None


def test_a_jar_that_fits_is_uploaded_as_it_is() -> None:
    copy = copy_of(jar(**BOTH))
    assert copy_of(copy) is copy


def test_what_is_not_known_is_not_compared() -> None:
    unknown = replace(FACTS, endpoint="", zookeepers=(), manager="", login=None)
    names = [difference.name for difference in read(**BOTH).differences(unknown)]
    assert names == ["serverless.deployments.max"]


@pytest.mark.parametrize("name", [SITE, NDB])
def test_a_jar_with_one_file_is_configured_and_the_other_is_missing(name: str) -> None:
    data = jar(**{name: BOTH[name]})
    assert opened(data).files == (name,)
    after = opened(copy_of(data))
    assert after.differences(FACTS) == []
    assert after.missing == tuple(file for file in (SITE, NDB) if file != name)


def test_a_jar_without_configuration_is_refused_and_the_image_must_have_it() -> None:
    data = jar(**{f"conf/{SITE}": AUTHORS_SITE})
    configuration = opened(data)
    assert configuration.differences(FACTS) == []
    with pytest.raises(Refused, match=rf"nn\.jar.*no {SITE}.*conf/{SITE} is not read"):
        copy_of(data)
    text = required(configuration.missing, FACTS)
    assert "serverless.deployments.max=20" in text
    assert "com.mysql.clusterj.connectstring=10.0.6.227:1186" in text
    unknown = required((NDB,), replace(FACTS, manager="", login=None))
    assert unknown.startswith("and, as on the λFS client, com.mysql.clusterj.connectstring, ")


TWICE = AUTHORS_SITE.replace(b"serverless.tcp.port", b"serverless.endpoint")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({SITE: b"<configuration><property>"}, "not well-formed"),
        ({SITE: TWICE}, "serverless.endpoint is set 2 times"),
        ({SITE: "<configuration/>".encode("utf-16")}, "encoding"),
        ({NDB: AUTHORS_NDB + b"com.mysql.clusterj.database=b\n"}, "database is set 2 times"),
        ({NDB: AUTHORS_NDB.decode().encode("utf-16")}, "UTF-16"),
        ({NDB: b"\xef\xbb\xbf" + AUTHORS_NDB}, "byte order mark"),
        ({NDB: AUTHORS_NDB.replace(b"somebody", "Zoë".encode("latin-1"))}, "not ASCII"),
        (BOTH | {"META-INF/A.SF": b""}, "signed"),
    ],
)
def test_a_file_that_cannot_be_edited_is_refused_by_name(files: dict[str, bytes], why: str) -> None:
    with pytest.raises(
        Refused, match=rf"nn\.jar(: [a-z.-]+)? cannot be (edited|configured).*{why}"
    ):
        copy_of(jar(**files))


def test_differences_of_properties_that_are_not_set() -> None:
    missing = PropertyDifference(SITE, "serverless.endpoint", None, "https://x")
    assert missing.text == "serverless.endpoint is not set, not https://x"
    assert set(desired_values(FACTS)) == {SITE, NDB}
