"""Hadoop's XML files: only the named properties change, and unusable files are refused."""

from __future__ import annotations

import pytest

from aws_setup.errors import Refused
from aws_setup.software.hadoop_xml import HadoopXml

SITE = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="configuration.xsl"?>
<!-- Put site-specific property overrides in this file. serverless.endpoint -->
<configuration>
\t<property>
\t\t<name>serverless.endpoint</name>
\t\t<value>https://old:443/api</value>  <!-- of the author -->
\t\t<final>true</final>
\t</property>

\t<property><name> dfs.replication </name><value>3</value></property>
\t<property><value/><name>empty</name></property>
\t<property>
\t\t<name>none</name>
\t</property>
\t<!-- the end \xc3\xa9 -->
</configuration>
<!-- after -->
"""


def parse(data: bytes) -> HadoopXml:
    return HadoopXml.parse(data, source="vm: /etc/hdfs-site.xml")


def test_values_are_those_that_hadoop_reads() -> None:
    site = parse(SITE)
    assert site.get("serverless.endpoint") == "https://old:443/api"
    assert site.get("dfs.replication") == "3"
    assert (site.get("empty"), site.get("none"), site.get("missing")) == ("", "", None)


def test_only_the_named_properties_change() -> None:
    changes = {"serverless.endpoint": "http://new:80/a?b=1&c=<2>", "dfs.replication": "1"}
    data = parse(SITE).with_values(changes)
    expected = SITE.replace(b"https://old:443/api", b"http://new:80/a?b=1&amp;c=&lt;2&gt;")
    assert data == expected.replace(b"<value>3<", b"<value>1<")
    assert parse(data).get("serverless.endpoint") == changes["serverless.endpoint"]


@pytest.mark.parametrize("value", [b"false", b"", b"True"])
def test_properties_are_made_final(value: bytes) -> None:
    data = SITE.replace(b"<final>true", b"<final>" + value)
    wants = {"serverless.endpoint": "https://new", "dfs.replication": "3", "none": "1", "a": "2"}
    assert not any(parse(data).is_final(name) for name in wants)
    assert parse(SITE).is_final("serverless.endpoint")
    made = parse(data).with_values(wants, final=True)
    after = parse(made)
    assert all(after.is_final(name) for name in wants)
    assert {name: after.get(name) for name in wants} == wants
    assert not after.is_final("empty")
    assert after.with_values(wants, final=True) == made == after.with_values(wants)


def test_an_empty_element_final_is_refused() -> None:
    with pytest.raises(Refused, match="empty element final"):
        parse(SITE.replace(b"<final>true</final>", b"<final/>")).is_final("serverless.endpoint")


def test_a_file_with_the_values_is_the_same_bytes() -> None:
    assert parse(SITE).with_values({"dfs.replication": "3", "empty": ""}) == SITE


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_missing_properties_are_appended_in_the_style_of_the_file(newline: bytes) -> None:
    old = SITE.replace(b"\n", newline)
    data = parse(old).with_values({"a": "1", "b": "é"})
    block = (
        "\n\t<property>\n\t\t<name>a</name>\n\t\t<value>1</value>\n\t</property>"
        "\n\t<property>\n\t\t<name>b</name>\n\t\t<value>é</value>\n\t</property>"
    )
    expected = "<!-- the end é -->" + block + "\n</configuration>"
    anchor = "<!-- the end é -->\n</configuration>"
    assert data == SITE.replace(anchor.encode(), expected.encode()).replace(b"\n", newline)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            b"<property><value/><name>empty</name></property>",
            b"<property><value>x</value><name>empty</name></property>",
        ),
        (b"<value/>", b"<value>x</value>"),
        (b"<value ></value >", b"<value >x</value >"),
        (b"<value>a<!-- why -->b</value>", b"<value>x<!-- why --></value>"),
        (b"<value><![CDATA[a<b]]></value>", b"<value>x</value>"),
        (b"<value>\n  a\n</value>", b"<value>x</value>"),
        (b"", b"<value>x</value>"),
    ],
)
def test_a_value_is_replaced_whatever_its_form(old: bytes, new: bytes) -> None:
    before, after = b"<configuration><property><name>empty</name>", b"</property></configuration>"
    if b"<property>" in old:
        before, after = b"<configuration>", b"</configuration>"
    assert parse(before + old + after).with_values({"empty": "x"}) == before + new + after


@pytest.mark.parametrize("text", ["<configuration/>", "<configuration></configuration>"])
def test_an_empty_configuration_gets_its_first_property(text: str) -> None:
    data = parse(text.encode()).with_values({"a": "1"})
    assert parse(data).get("a") == "1"
    assert data.startswith(b"<configuration>\n  <property>\n    <name>a</name>\n")


def test_the_encoding_of_the_file_is_kept() -> None:
    head = b'<?xml version="1.0" encoding="ISO-8859-1"?><!-- \xe9 --><configuration>'
    data = parse(head + b"</configuration>").with_values({"a": "é€"})
    assert data.startswith(head)
    assert b"<value>\xe9&#8364;</value>" in data
    marked = b"\xef\xbb\xbf" + SITE
    assert parse(marked).with_values({"dfs.replication": "1"}).startswith(b"\xef\xbb\xbf<?xml")


TWICE = b"<configuration>" + b"<property><name>a</name><value>1</value></property>" * 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<configuration><property></configuration>", "not well-formed XML: mismatched tag"),
        (b"", "not well-formed XML: no element found"),
        (b"<configuration>\xe9</configuration>", "not well-formed XML: not well-formed"),
        (b"<configuration>&nbsp;</configuration>", "not well-formed XML: undefined entity"),
        (b'<!DOCTYPE c [<!ENTITY x "y">]><configuration/>', "DOCTYPE"),
        (b"<html/>", "its root element is html, not configuration"),
        ("<configuration/>".encode("utf-16"), "UTF-16 is not supported"),
        (b'<?xml version="1.0" encoding="EBCDIC-42"?><configuration/>', "EBCDIC-42"),
        (b'<?xml version="1.0" encoding="utf-7"?><configuration/>', "utf-7 is not supported"),
        (TWICE + b"</configuration>", "the property a is set 2 times"),
        (
            b'<configuration><property name="a" value="1"/></configuration>',
            "a is set by attributes",
        ),
        (
            b"<configuration><property><name>a</name><value>1</value><value>2</value></property>"
            b"</configuration>",
            "a has two elements value",
        ),
        (
            b"<configuration><property><name>a</name><value><b>1</b></value></property>"
            b"</configuration>",
            "a has the element b inside its value",
        ),
    ],
)
def test_an_unusable_file_is_refused_by_name(data: bytes, why: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(data).with_values({"a": "2"})
    problem = caught.value.problems[0]
    assert problem.what == "vm: /etc/hdfs-site.xml cannot be edited"
    assert why in problem.why
    assert problem.hint


def test_another_property_that_is_set_twice_is_no_obstacle() -> None:
    data = parse(TWICE + b"</configuration>").with_values({"b": "2"})
    assert data.startswith(TWICE)


def test_a_value_that_xml_cannot_contain_is_refused() -> None:
    with pytest.raises(Refused, match="cannot contain the new value of a"):
        parse(SITE).with_values({"a": "\x00"})
