"""Hadoop's XML configuration files: named properties are read and set, every other byte is kept.

Source of the format: https://hadoop.apache.org/docs/r3.2.0/api/org/apache/hadoop/conf/Configuration.html
"""

from __future__ import annotations

import codecs
import re
import xml.parsers.expat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from aws_setup.errors import Refused

ENCODINGS = ("utf-8", "ascii", "iso8859-1")
"""Supported encodings, by Python's names: one byte for each ASCII character."""

_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")

FINAL = b"<final>true</final>"

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 cannot contain."""


@dataclass(frozen=True)
class Span:
    """A range of byte offsets; `end` is exclusive."""

    start: int
    end: int


@dataclass(frozen=True)
class Property:
    """A property element, its children `name` and `value`, and the comments inside its value.

    `inner` is what is between the tags of `value`; None when there is no such pair of tags, and
    `empty_value` then is the tag `<value/>`, if any. `name_end` is the end of the name element,
    `end` the start of the property's end tag. `final` is what its element `final` says, and
    `final_inner` where: None when it has none.
    """

    name: str
    value: str
    name_end: int
    inner: Span | None = None
    empty_value: Span | None = None
    comments: tuple[Span, ...] = ()
    unsupported: str = ""
    end: int = 0
    final: bool = False
    final_inner: Span | None = None


@dataclass(frozen=True)
class HadoopXml:
    """A parsed file; `source` names it in errors, `root` is the inside of `configuration`."""

    source: str
    data: bytes
    encoding: str
    properties: tuple[Property, ...]
    root: Span
    empty_root: bool = False

    @classmethod
    def parse(cls, data: bytes, *, source: str) -> HadoopXml:
        """Parse a file; nothing is rewritten.

        Raises:
            Refused: it is not well-formed, has a DOCTYPE, or is no Hadoop configuration.
        """
        return _Reader(data, source).read()

    def get(self, name: str) -> str | None:
        """Return a property's value, None when it is not set.

        Raises:
            Refused: the property is set twice, or in a form that this program does not edit.
        """
        found = self._property(name)
        return None if found is None else found.value

    def is_final(self, name: str) -> bool:
        """Tell whether no file that is read later can change a property.

        Raises:
            Refused: as `get`.
        """
        found = self._property(name)
        return found is not None and found.final

    def with_values(self, values: Mapping[str, str], *, final: bool = False) -> bytes:
        """Return the file with these properties set; the same bytes where nothing differs.

        Missing properties are appended in the order of `values`. With `final` they are made
        final: no file that is read later changes them.

        Raises:
            Refused: as `get`; or a value has a character that XML cannot contain.
        """
        edits: list[tuple[Span, bytes]] = []
        missing: dict[str, str] = {}
        for name, value in values.items():
            found = self._property(name)
            if _NO_XML.search(name + value):
                why = f"XML cannot contain the new value of {name}"
                _refuse(self.source, why, "choose a value without control characters")
            if found is None:
                missing[name] = value
                continue
            if found.value != value:
                edits.append(self._edit(found, value))
            if final and not found.final:
                edits.append(_finalised(found))
        if missing:
            edits.append(self._append(missing, final=final))
        data = self.data
        for span, new in sorted(edits, key=lambda edit: edit[0].start, reverse=True):
            data = data[: span.start] + new + data[span.end :]
        return data

    def _property(self, name: str) -> Property | None:
        found = [item for item in self.properties if item.name == name]
        if len(found) > 1:
            _refuse(self.source, f"the property {name} is set {len(found)} times", "keep one")
        if found and found[0].unsupported:
            hint = f"write {name} as <property><name>…</name><value>…</value></property>"
            _refuse(self.source, f"the property {name} {found[0].unsupported}", hint)
        return found[0] if found else None

    def _edit(self, found: Property, value: str) -> tuple[Span, bytes]:
        text = self._escaped(value)
        if found.inner:
            kept = b"".join(self.data[span.start : span.end] for span in found.comments)
            return found.inner, text + kept
        element = b"<value>" + text + b"</value>"
        return found.empty_value or Span(found.name_end, found.name_end), element

    def _append(self, values: Mapping[str, str], *, final: bool) -> tuple[Span, bytes]:
        """Return the edit that adds properties after the last content of the file."""
        newline = b"\r\n" if b"\r\n" in self.data else b"\n"
        indent = self._indent()
        lines: list[bytes] = []
        for name, value in values.items():
            lines += [
                indent + b"<property>",
                indent * 2 + b"<name>" + self._escaped(name) + b"</name>",
                indent * 2 + b"<value>" + self._escaped(value) + b"</value>",
                *([indent * 2 + FINAL] if final else []),
                indent + b"</property>",
            ]
        block = newline + newline.join(lines)
        if self.empty_root:
            return self.root, b"<configuration>" + block + newline + b"</configuration>"
        inside = self.data[self.root.start : self.root.end]
        end = self.root.start + len(inside.rstrip())
        tail = b"" if b"\n" in inside[end - self.root.start :] else newline
        return Span(end, end), block + tail

    def _indent(self) -> bytes:
        """Return the indentation of the file's last property, two blanks by default."""
        inside = self.data[self.root.start : self.root.end]
        found = re.findall(rb"(?:^|\n)([ \t]+)<property", inside)
        return found[-1] if found else b"  "

    def _escaped(self, text: str) -> bytes:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return escaped.replace("\r", "&#13;").encode(self.encoding, "xmlcharrefreplace")


def _finalised(found: Property) -> tuple[Span, bytes]:
    """Return the edit that makes a property final."""
    if found.final_inner:
        return found.final_inner, b"true"
    return Span(found.end, found.end), FINAL


class _Reader:
    """Collects the properties of a file with their byte offsets, by an event parser."""

    def __init__(self, data: bytes, source: str) -> None:
        self.data, self.source = data, source
        self.encoding = "utf-8"
        self.path: list[str] = []
        self.properties: list[Property] = []
        self.root, self.empty_root = Span(0, 0), False
        self._clear()
        self.parser = xml.parsers.expat.ParserCreate()
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.CommentHandler = self._comment

    def read(self) -> HadoopXml:
        """Parse the whole file."""
        if self.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in self.data:
            self._refuse_encoding("UTF-16")
        try:
            self.parser.Parse(self.data, True)
        except xml.parsers.expat.ExpatError as error:
            _refuse(self.source, f"it is not well-formed XML: {error}", "correct the file")
        except (LookupError, ValueError) as error:
            _refuse(self.source, f"its encoding is not supported: {error}", "save it as UTF-8")
        return HadoopXml(
            self.source,
            self.data,
            self.encoding,
            tuple(self.properties),
            self.root,
            self.empty_root,
        )

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        try:
            self.encoding = codecs.lookup(encoding or "utf-8").name
        except LookupError:
            self._refuse_encoding(str(encoding))
        if self.encoding not in ENCODINGS:
            self._refuse_encoding(str(encoding))

    def _refuse_encoding(self, name: str) -> NoReturn:
        _refuse(self.source, f"its encoding {name} is not supported", "save it as UTF-8")

    def _doctype(self, *_: Any) -> None:
        why = "it has a DOCTYPE, which can define entities"
        _refuse(self.source, why, "remove the DOCTYPE: Hadoop does not need one")

    def _clear(self) -> None:
        self.name: list[str] = []
        self.value: list[str] = []
        self.comments: list[Span] = []
        self.inner: Span | None = None
        self.empty_value: Span | None = None
        self.name_end = self.opened = 0
        self.final: list[str] = []
        self.final_inner: Span | None = None
        self.counts: dict[str, int] = {}
        self.unsupported = ""

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        start = self.parser.CurrentByteIndex
        end = self._tag_end(start)
        if not self.path and tag != "configuration":
            why = f"its root element is {tag}, not configuration"
            _refuse(self.source, why, "restore the file: it is no Hadoop configuration")
        self.path.append(tag)
        if len(self.path) == 1:
            self.empty_root = self.data[start:end].endswith(b"/>")
            self.root = Span(start if self.empty_root else end, end)
        elif tag == "property":
            self._clear()
            if attributes:
                self.name = [attributes.get("name", "")]
                self.unsupported = "is set by attributes"
        elif self._in_property() and tag in {"name", "value", "final"}:
            self.counts[tag] = self.counts.get(tag, 0) + 1
            self.opened = end
            if tag == "value" and self.data[start:end].endswith(b"/>"):
                self.empty_value = Span(start, end)
            if tag == "final" and self.data[start:end].endswith(b"/>"):
                self.unsupported = "has an empty element final"
        elif len(self.path) > 3 and self.path[-2] in {"name", "value"}:
            self.unsupported = f"has the element {tag} inside its {self.path[-2]}"

    def _end(self, tag: str) -> None:
        index = self.parser.CurrentByteIndex
        if len(self.path) == 1 and not self.empty_root:
            self.root = Span(self.root.start, index)
        elif tag == "property":
            self._add(index)
        elif self._in_property() and tag == "name":
            self.name_end = self._tag_end(index) if self.data[index : index + 2] == b"</" else index
        elif self._in_property() and tag == "value" and self.empty_value is None:
            self.inner = Span(self.opened, index)
        elif self._in_property() and tag == "final":
            self.final_inner = Span(self.opened, index)
        self.path.pop()

    def _in_property(self) -> bool:
        """Whether the current element is a child of a property."""
        return len(self.path) >= 3 and self.path[-2] == "property"

    def _add(self, end: int) -> None:
        repeated = [tag for tag, count in self.counts.items() if count > 1]
        if repeated:
            self.unsupported = f"has two elements {repeated[0]}"
        self.properties.append(
            Property(
                "".join(self.name).strip(),
                "".join(self.value),
                self.name_end,
                self.inner,
                self.empty_value,
                tuple(self.comments),
                self.unsupported,
                end,
                "".join(self.final) == "true",
                self.final_inner,
            )
        )

    def _text(self, text: str) -> None:
        if self._in_property() and self.path[-1] == "name":
            self.name.append(text)
        elif self._in_property() and self.path[-1] == "value":
            self.value.append(text)
        elif self._in_property() and self.path[-1] == "final":
            self.final.append(text)

    def _comment(self, _text: str) -> None:
        if self._in_property() and self.path[-1] == "value":
            start = self.parser.CurrentByteIndex
            self.comments.append(Span(start, self.data.index(b"-->", start) + 3))

    def _tag_end(self, start: int) -> int:
        found = _TAG.match(self.data, start)
        return found.end() if found else start


def _refuse(source: str, why: str, hint: str) -> NoReturn:
    raise Refused(f"{source} cannot be edited", why, hint)
