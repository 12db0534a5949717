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
from aws_setup.rehearsal.openwhisk import namenode_image
from aws_setup.rehearsal.openwhisk.namenode import read_configuration
from aws_setup.software.clients.desired import DeploymentFacts, NdbLogin
from aws_setup.software.hadoop_xml import HadoopXml

PUBLISHED = namenode_image.PUBLISHED
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


def read_by_a_namenode(data: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a NameNode of the published image reads with a jar: both files' properties."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return read_configuration(files, namenode_image.ContainerImages().files[PUBLISHED])


WANTED = desired_values(FACTS)[SITE]


def test_every_property_of_another_deployment_is_named() -> None:
    found = read(**BOTH).differences(FACTS)
    assert [difference.name for difference in found] == [
        "serverless.endpoint",
        "serverless.deployments.max",
        "serverless.deployments.baseline",
        "serverless.zookeepers.hosts",
    ]
    assert found[1].text == "serverless.deployments.max is 8, not 20"
    assert found[2].text.startswith("serverless.deployments.baseline is not final")


def test_no_text_shows_a_password() -> None:
    configuration = read(**BOTH)
    shown = [str(problem) for problem in configuration.warnings(FACTS)]
    shown += [str(difference.document()) for difference in configuration.differences(FACTS)]
    shown.append(required((SITE, NDB), FACTS))
    assert "secret" not in "".join(shown)
    assert len(configuration.warnings(FACTS)) == 1


def test_the_copy_fits_and_keeps_everything_else() -> None:
    copy = copy_of(jar(**BOTH))
    after = opened(copy)
    assert after.differences(FACTS) == []
    assert copy == copy_of(copy) == copy_of(jar(**BOTH))
    assert after.site
    assert b"<!-- of another deployment -->" in after.site.data
    assert after.site.get("serverless.tcp.port") == "6000"
    assert after.site.get("dfs.storage.driver.configfile") is None
    assert not after.site.is_final("serverless.tcp.port")


@pytest.mark.parametrize("files", [BOTH, {SITE: AUTHORS_SITE}, {NDB: AUTHORS_NDB}, {}])
def test_a_namenode_with_the_copy_calls_this_deployment(files: dict[str, bytes]) -> None:
    facts = replace(FACTS, deployments=8, zookeepers=("10.0.8.233",))
    site, ndb = read_by_a_namenode(configured(jar(**files), facts, source="nn.jar"))
    wanted = desired_values(facts)[SITE]
    assert {name: site[name] for name in wanted} == wanted
    assert ndb["com.mysql.clusterj.connectstring"] == "10.0.6.227:1186"
    assert site["serverless.tcp.enabled"] == "true"


def test_without_final_the_image_overrides_the_jar() -> None:
    values = HadoopXml.parse(AUTHORS_SITE, source="t").with_values(WANTED)
    unfinal = jar(**{SITE: values})
    assert read_by_a_namenode(unfinal)[0]["serverless.endpoint"] != FACTS.endpoint
    assert {difference.name for difference in opened(unfinal).differences(FACTS)} == set(WANTED)
    assert read_by_a_namenode(copy_of(unfinal))[0]["serverless.endpoint"] == FACTS.endpoint


def test_a_jar_that_fits_is_uploaded_as_it_is() -> None:
    copy = copy_of(jar(**BOTH))
    assert copy_of(copy) is copy


def test_what_is_not_known_is_not_compared() -> None:
    unknown = replace(FACTS, endpoint="", zookeepers=(), manager="", login=None)
    names = [difference.name for difference in read(**BOTH).differences(unknown)]
    assert names == ["serverless.deployments.max", "serverless.deployments.baseline"]


def test_the_file_is_added_to_a_jar_without_it_and_what_is_not_read_is_known() -> None:
    data = jar(**{f"conf/{SITE}": AUTHORS_SITE, NDB: AUTHORS_NDB})
    configuration = opened(data)
    assert configuration.missing == (SITE,)
    assert configuration.unread == (f"conf/{SITE}", NDB)
    assert configuration.warnings(FACTS) == []
    after = opened(copy_of(data))
    assert (after.missing, after.differences(FACTS)) == ((), [])
    assert after.site
    assert after.site.get("dfs.storage.driver.configfile") == namenode_image.NDB
    assert not after.site.is_final("dfs.storage.driver.configfile")


def test_what_the_image_must_have() -> None:
    text = required((SITE, NDB), FACTS)
    assert "serverless.deployments.max=20" in text
    assert "com.mysql.clusterj.connectstring=10.0.6.227:1186" in text
    unknown = required((NDB,), replace(FACTS, manager="", login=None))
    assert unknown.startswith("the λFS client's values of com.mysql.clusterj.connectstring, ")
    both = required((SITE, NDB), replace(FACTS, manager="", login=None))
    assert both.endswith(f" and {unknown}")


TWICE = AUTHORS_SITE.replace(b"serverless.tcp.port", b"serverless.endpoint")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({SITE: b"<configuration><property>"}, "not well-formed"),
        ({SITE: TWICE}, "serverless.endpoint is set 2 times"),
        ({SITE: "<configuration/>".encode("utf-16")}, "encoding"),
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
