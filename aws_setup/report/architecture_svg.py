"""The architecture diagram: an SVG drawn from the step table.

It shows what the configuration enables and nothing else: a step that is not in the table is not
in the diagram.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import escape, quoteattr

from aws_setup.aws.context import Step
from aws_setup.aws.tags import security_group_name
from aws_setup.config import Config
from aws_setup.eks.node_launch_template import node_group_specs
from aws_setup.infrastructure.autoscaling import AutoScalingGroup
from aws_setup.infrastructure.instances import VmGroupStep
from aws_setup.infrastructure.vm_groups import VmGroup
from aws_setup.tables.infrastructure import infrastructure_steps

STYLE = """\
.architecture text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.architecture .head { font-weight: 600; }
.architecture .small { font-size: 11px; fill: #57606a; }
.architecture rect { fill: #ffffff; stroke: #8c959f; }
.architecture .page { stroke: none; }
.architecture .vpc { stroke: #6639ba; stroke-width: 2; }
.architecture .zone { fill: none; stroke-dasharray: 6 4; }
.architecture .public { fill: #e6f4ea; stroke: #1a7f37; }
.architecture .private { fill: #e7f1fb; stroke: #0969da; }
.architecture .eks { fill: #fdf1e3; stroke: #bc4c00; }
.architecture path { fill: none; stroke: #57606a; stroke-width: 1.5; }
@media screen and (prefers-color-scheme: dark) {
  .architecture text { fill: #e6edf3; }
  .architecture .small { fill: #9da7b3; }
  .architecture rect { fill: #161b22; stroke: #6e7681; }
  .architecture .page { fill: #0d1117; }
  .architecture .vpc { stroke: #a371f7; }
  .architecture .zone { fill: none; }
  .architecture .public { fill: #12261a; stroke: #3fb950; }
  .architecture .private { fill: #0f2238; stroke: #58a6ff; }
  .architecture .eks { fill: #2b1d0e; stroke: #db6d28; }
  .architecture path { stroke: #9da7b3; }
}
"""
"""The diagram's style; `.architecture` limits it to the diagram where a page embeds it."""

WIDTH = 1080
LEFT, RIGHT = 40, 550
"""The left edges of the two zones."""

COLUMN = 490
"""Width of a zone."""

ROW = 50
"""Height of a VM group's rectangle with the gap below it."""

SHOWN = 4
"""Fixed addresses that fit into one line; further ones are shown as `…`."""


@dataclass(frozen=True)
class StepMark:
    """The state of a step: `kind` is a class of the style, which colours it; `word` is its text."""

    kind: str
    word: str


Marks = Mapping[str, StepMark]
"""Step -> its state; a step without one is drawn without a state."""

NO_MARKS: Marks = MappingProxyType({})


@dataclass(frozen=True)
class Rectangle:
    """A rectangle with a title and small lines below it; lengths in SVG units."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    kind: str = ""
    mark: StepMark | None = None

    def draw(self) -> Iterator[str]:
        """Yield the SVG elements of the rectangle."""
        yield (
            f'<rect class={quoteattr(self.kind)} x="{self.x}" y="{self.y}" '
            f'width="{self.width}" height="{self.height}" rx="6"/>'
        )
        if self.title:
            yield _text(self.x + 10, self.y + 18, self.title, "head")
        for number, line in enumerate(self.lines):
            yield _text(self.x + 10, self.y + 34 + 15 * number, line, "small")
        if self.mark:
            yield from self._draw_mark(self.mark)

    def _draw_mark(self, mark: StepMark) -> Iterator[str]:
        """Yield a stripe at the left edge and the state in the upper right corner."""
        yield (
            f'<rect class="mark {mark.kind}" x="{self.x}" y="{self.y}" width="5" '
            f'height="{self.height}" rx="2"/>'
        )
        yield (
            f'<text class="state {mark.kind}" x="{self.x + self.width - 8}" y="{self.y + 18}" '
            f'text-anchor="end">{escape(mark.word)}</text>'
        )


def architecture(config: Config, marks: Marks = NO_MARKS) -> str:
    """Return the diagram of what the first two scripts create with a configuration.

    With `marks` every rectangle shows the state of its step.
    """
    steps = {step.name: step for step in infrastructure_steps(config)}
    vm_groups = [step.group for step in steps.values() if isinstance(step, VmGroupStep)]
    scaling_groups = [step for step in steps.values() if isinstance(step, AutoScalingGroup)]
    public_height = 70 + max(ROW * len(vm_groups), 20 + ROW * len(scaling_groups))
    private_top = 150 + public_height + 16
    cluster_top = private_top + 68 + 32
    vpc_end = cluster_top + (104 if "eks cluster" in steps else 0)
    body = [
        *_frame(config, vpc_end - 60, marks, adopted="internet gateway" not in steps),
        *_zones(config, public_height, private_top, marks),
        *_gateways(steps, marks),
        *_vm_groups(vm_groups, marks),
        *_scaling_groups(config, scaling_groups, marks),
        *(_cluster(config, cluster_top, marks) if "eks cluster" in steps else ()),
    ]
    return _page(body, vpc_end + 20)


def _page(body: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" class="architecture" '
        'aria-labelledby="architecture-title architecture-desc">'
        '<title id="architecture-title">Architecture of λFS on AWS</title>'
        '<desc id="architecture-desc">One VPC over two zones, each with a public and a private '
        "subnet; machines, gateways, auto-scaling groups and the EKS cluster in them.</desc>"
    )
    arrow = (
        '<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse">'
        '<path d="M 1 1 L 9 5 L 1 9"/></marker>'
    )
    page = f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    lines = [head, f"<style>\n{STYLE}</style>", f"<defs>{arrow}</defs>", page, *body, "</svg>"]
    return "\n".join(lines) + "\n"


def _frame(config: Config, height: int, marks: Marks, *, adopted: bool) -> Iterator[str]:
    """Yield the VPC with its security group, and the internet above it."""
    yield from Rectangle(20, 60, WIDTH - 40, height, "", kind="vpc", mark=marks.get("vpc")).draw()
    origin = "existing" if adopted else config.vpc_cidr
    yield _text(34, 82, f"VPC {config.vpc_name} ({origin})", "head")
    rules = "all traffic within the group, SSH from your address"
    if config.create_eks_cluster:
        rules += "; NDB, ZooKeeper and clients from the EKS nodes"
    yield _text(34, 99, f"security group {security_group_name(config)}: {rules}", "small")
    yield from Rectangle(640, 8, 130, 28, "Internet").draw()


def _zones(config: Config, public_height: int, private_top: int, marks: Marks) -> Iterator[str]:
    names = config.availability_zones or ("zone 1", "zone 2")
    zone_height = private_top + 68 + 16 - 110
    subnets = (("public", 142, public_height), ("private", private_top, 68))
    for index, x in enumerate((LEFT, RIGHT)):
        yield from Rectangle(x, 110, COLUMN, zone_height, "", kind="zone").draw()
        yield _text(x + 10, 130, names[index], "head")
        for kind, top, height in subnets:
            title = f"{kind} subnet {index + 1}"
            lines = [_subnet_cidr(config, kind, index)]
            if kind == "private" and config.create_vpc:
                lines.append("outbound through the NAT gateway")
            mark = marks.get(title)
            yield from Rectangle(
                x + 10, top, COLUMN - 20, height, title, tuple(lines), kind, mark
            ).draw()


def _subnet_cidr(config: Config, kind: str, index: int) -> str:
    if not config.create_vpc:
        return "existing"
    cidrs = config.public_subnet_cidrs if kind == "public" else config.private_subnet_cidrs
    return cidrs[index]


def _gateways(steps: dict[str, Step], marks: Marks) -> Iterator[str]:
    """Yield the gateways, where the table has them: an existing VPC has its own."""
    if "internet gateway" not in steps:
        return
    internet, nat = marks.get("internet gateway"), marks.get("nat gateway")
    yield from Rectangle(620, 66, 210, 30, "internet gateway", mark=internet).draw()
    yield _arrow("M 705 66 V 36", both=True)
    yield from Rectangle(310, 150, 200, 44, "NAT gateway", ("with an elastic IP",), mark=nat).draw()
    yield _arrow("M 510 162 H 536 V 81 H 620")


def _vm_groups(groups: Sequence[VmGroup], marks: Marks) -> Iterator[str]:
    """Yield the VM groups, all in the first public subnet."""
    for index, group in enumerate(groups):
        count = f" × {group.count}" if group.count > 1 else ""
        shown = [str(address) for address in group.addresses[:SHOWN]]
        more = ["…"] if len(group.addresses) > SHOWN else []
        fixed = ", ".join(shown + more)
        line = f"{group.instance_type} · {fixed}" if fixed else group.instance_type
        y = 206 + ROW * index
        title, mark = f"{group.title}{count}", marks.get(group.step)
        yield from Rectangle(60, y, 450, ROW - 6, title, (line,), mark=mark).draw()


def _scaling_groups(
    config: Config, groups: Sequence[AutoScalingGroup], marks: Marks
) -> Iterator[str]:
    """Yield the auto-scaling groups, which use both public subnets."""
    if not groups:
        return
    yield _text(572, 222, "auto-scaling groups, in both public subnets", "small")
    sizes = f"{config.autoscaling_group_min_size}–{config.autoscaling_group_max_size}"
    desired = config.autoscaling_group_desired_capacity
    for index, step in enumerate(groups):
        line = f"{step.kind.instance_type} · {sizes} machines, desired capacity {desired}"
        y = 230 + ROW * index
        mark = marks.get(step.name)
        yield from Rectangle(572, y, 446, ROW - 6, step.kind.group, (line,), mark=mark).draw()


def _cluster(config: Config, top: int, marks: Marks) -> Iterator[str]:
    """Yield the EKS cluster with the node groups that configure_eks_cluster.py creates."""
    subnets = "public" if config.eks_nodes_public else "private"
    version = f", Kubernetes {config.kubernetes_version}" if config.kubernetes_version else ""
    lines = (
        f"in all four subnets; nodes in the {subnets} ones",
        f"role {config.eks_iam_role_name}",
    )
    title = f"EKS cluster {config.eks_cluster_name}{version}"
    mark = marks.get("eks cluster")
    yield from Rectangle(LEFT, top, WIDTH - 2 * LEFT, 90, title, lines, "eks", mark).draw()
    for index, nodes in enumerate(node_group_specs(config)):
        line = f"{nodes.instance_type} · {ROLES.get(nodes.role, nodes.role)}"
        title, x = f"{nodes.group} × {nodes.count}", 420 + 285 * index
        yield from Rectangle(
            x, top + 26, 275, ROW - 6, title, (line,), mark=marks.get(nodes.group)
        ).draw()


ROLES = {"core": "OpenWhisk's components", "invoker": "invokers, with the NameNodes"}
"""What runs on the nodes of each OpenWhisk role."""


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _arrow(line: str, *, both: bool = False) -> str:
    start = ' marker-start="url(#arrow)"' if both else ""
    return f'<path d="{line}" marker-end="url(#arrow)"{start}/>'
