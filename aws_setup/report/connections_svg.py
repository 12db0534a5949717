"""The diagram of who talks to whom: an SVG drawn from the rules of the security group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import escape

from aws_setup.aws.tags import security_group_name
from aws_setup.config import Config
from aws_setup.infrastructure.ingress_rules import (
    CLIENT_TCP,
    CLIENT_UDP,
    MYSQLD,
    NDB_DATA_NODES,
    NDB_MANAGEMENT,
    RULES,
    SSH,
    ZOOKEEPER,
    IngressRule,
    Ports,
    Source,
)
from aws_setup.openwhisk.addresses import STANDARD_PORTS, scheme_of
from aws_setup.report.architecture_svg import STYLE, Rectangle

WIDTH = 940
LEFT, RIGHT = 30, 600
"""The left edges of those who connect, and of those who listen."""

BOX = 290
"""Width of a rectangle."""

ROW, GAP, TOP = 40, 14, 84
"""Height of one rule, height between two rectangles, and the upper edge of the first row."""

LISTENERS: Mapping[Ports, str] = MappingProxyType(
    {
        SSH: "every VM",
        CLIENT_TCP: "clients of λFS",
        CLIENT_UDP: "clients of λFS",
        ZOOKEEPER: "ZooKeeper",
        NDB_MANAGEMENT: "NDB manager",
        MYSQLD: "NDB manager",
        NDB_DATA_NODES: "NDB data nodes",
    }
)
"""Ports of a rule -> the VMs whose programs listen there; the picture has this order."""

SENDERS: Mapping[Source, tuple[str, str]] = MappingProxyType(
    {
        Source.OPERATOR: ("your computer", "the three scripts, kubectl"),
        Source.NODES: ("EKS nodes", "the pods of OpenWhisk: λFS's NameNodes"),
    }
)
"""Source of a rule -> title and remark of its rectangle."""


@dataclass(frozen=True)
class Connection:
    """One arrow: from a sender to a listener, with a label."""

    sender: str
    remark: str
    listener: str
    label: str


def connections(config: Config) -> str:
    """Return the diagram: one arrow for each rule, and those to OpenWhisk's load balancer."""
    rules = sorted(
        (rule for rule in RULES if rule.source in SENDERS),
        key=lambda rule: (list(SENDERS).index(rule.source), list(LISTENERS).index(rule.ports)),
    )
    within = [_row(rule) for rule in rules]
    port = f"tcp {config.openwhisk_api_port}"
    inside_port = f"tcp {STANDARD_PORTS[scheme_of(config)]}"
    inside = "internal load balancer of OpenWhisk"
    outside = [
        Connection("λFS's clients and NameNodes", "", inside, f"invoke NameNodes · {inside_port}"),
    ]
    if not config.openwhisk_internal:
        public = "public load balancer of OpenWhisk"
        ranges = "your address, openwhisk_access_cidrs"
        outside.append(Connection(ranges, "", public, f"register NameNodes · {port}"))
    body: list[str] = []
    bottom = TOP + _height(within)
    names = f"security group {security_group_name(config)}"
    frame = Rectangle(RIGHT - 20, 20, BOX + 40, bottom - 10, "", kind="vpc")
    body += frame.draw()
    body.append(_text(RIGHT - 8, 42, names, "head"))
    body.append(_text(RIGHT - 8, 60, "within the group: all traffic, of whatever port", "small"))
    body += _draw(within, TOP)
    body += _draw(outside, bottom + 40)
    return _page(body, bottom + 40 + _height(outside) + 10)


def _row(rule: IngressRule) -> Connection:
    title, remark = SENDERS[rule.source]
    ports = rule.ports
    last = "" if ports.first == ports.last else f"-{ports.last}"
    label = f"{rule.title} · {ports.protocol} {ports.first}{last}"
    return Connection(title, remark, LISTENERS[ports], label)


def _tops(rows: Sequence[Connection], top: int) -> list[int]:
    """Return the upper edge of each row: a gap is between rows of different listeners."""
    tops, y = [], top
    for before, row in zip([None, *rows], rows, strict=False):
        y += GAP if before and before.listener != row.listener else 0
        tops.append(y)
        y += ROW
    return tops


def _height(rows: Sequence[Connection]) -> int:
    return _tops(rows, 0)[-1] + ROW + GAP


def _draw(rows: Sequence[Connection], top: int) -> Iterator[str]:
    """Yield a rectangle for each run of rows with one sender or listener, and the arrows."""
    tops = _tops(rows, top)
    for x, names in ((LEFT, [row.sender for row in rows]), (RIGHT, [row.listener for row in rows])):
        start = 0
        for end in range(1, len(rows) + 1):
            if end < len(rows) and names[end] == names[start]:
                continue
            height = tops[end - 1] + ROW - tops[start]
            remark = rows[start].remark if x == LEFT else ""
            kind = "eks" if names[start] == SENDERS[Source.NODES][0] else ""
            lines = (remark,) if remark and height > ROW else ()
            yield from Rectangle(x, tops[start], BOX, height, names[start], lines, kind).draw()
            start = end
    for row, y in zip(rows, tops, strict=True):
        middle = y + ROW // 2 + 8
        yield f'<path d="M {LEFT + BOX} {middle} H {RIGHT}" marker-end="url(#arrow)"/>'
        yield _text(LEFT + BOX + 8, middle - 6, row.label, "small")


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _page(body: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" class="architecture" '
        'aria-labelledby="connections-title connections-desc">'
        '<title id="connections-title">Who talks to whom in λFS</title>'
        '<desc id="connections-desc">Arrows from those who connect to those who listen, one for '
        "each rule of the VMs' security group.</desc>"
    )
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M 1 1 L 9 5 L 1 9"/></marker></defs>'
    )
    page = f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    return "\n".join([head, f"<style>\n{STYLE}</style>", arrow, page, *body, "</svg>"]) + "\n"
