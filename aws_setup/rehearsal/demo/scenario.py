"""What the story plays, in order: each act is one command line of one script."""

from __future__ import annotations

from dataclasses import dataclass

CREATE_SCRIPT = "create_aws_infrastructure.py"
CONFIGURE_SCRIPT = "configure_eks_cluster.py"
WHISK_SCRIPT = "whisk_helper.py"

ACTIONS = ("-n", "20", "--memory", "20000", "-c", "4", "-j", "namenode.jar")


@dataclass(frozen=True)
class DemoStep:
    """One command, and what must be true of it.

    An `unchanged` one finds everything as it should be and writes nothing, to AWS, Kubernetes or
    OpenWhisk. Before one with a `new_jar` the NameNode's jar is built anew.
    """

    title: str
    script: str
    words: tuple[str, ...]
    unchanged: bool = False
    new_jar: bool = False

    @property
    def line(self) -> str:
        """The command line as a user types it."""
        return " ".join(("python", self.script, *self.words))

    @property
    def short(self) -> str:
        """The script and what it is to do."""
        verb = next(word for word in self.words if word not in ACTIONS)
        return f"{self.script} {verb}"


DEMO_STEPS = (
    DemoStep("What would be made, and can it be", CREATE_SCRIPT, ("plan",), unchanged=True),
    DemoStep("Make it", CREATE_SCRIPT, ("create", "--yes")),
    DemoStep("Put OpenWhisk on the cluster", CONFIGURE_SCRIPT, ("configure", "--yes")),
    DemoStep("Register the NameNodes", WHISK_SCRIPT, ("--create", *ACTIONS)),
    DemoStep("Once more: nothing to do", CREATE_SCRIPT, ("create", "--yes"), unchanged=True),
    DemoStep("Once more: nothing to do", CONFIGURE_SCRIPT, ("configure", "--yes"), unchanged=True),
    DemoStep("Once more: nothing to do", WHISK_SCRIPT, ("--create", *ACTIONS), unchanged=True),
    DemoStep("A new build of the NameNode", WHISK_SCRIPT, ("--update", *ACTIONS), new_jar=True),
    DemoStep("How it is", CREATE_SCRIPT, ("status",), unchanged=True),
    DemoStep("How it is", CONFIGURE_SCRIPT, ("status",), unchanged=True),
    DemoStep("How it is", WHISK_SCRIPT, ("--verify", *ACTIONS), unchanged=True),
    DemoStep("Take it all away", CREATE_SCRIPT, ("destroy", "--yes")),
)
"""The story."""
