"""What the story plays, in order: each act is one command line of one script."""

from __future__ import annotations

from dataclasses import dataclass

CREATE = "create_aws_infrastructure.py"
CONFIGURE = "configure_eks_cluster.py"
WHISK = "whisk_helper.py"

ACTIONS = ("-n", "20", "--memory", "20000", "-c", "4", "-j", "namenode.jar")


@dataclass(frozen=True)
class Act:
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


ACTS = (
    Act("What would be made, and can it be", CREATE, ("plan",), unchanged=True),
    Act("Make it", CREATE, ("create", "--yes")),
    Act("Put OpenWhisk on the cluster", CONFIGURE, ("configure", "--yes")),
    Act("Register the NameNodes", WHISK, ("--create", *ACTIONS)),
    Act("Once more: nothing to do", CREATE, ("create", "--yes"), unchanged=True),
    Act("Once more: nothing to do", CONFIGURE, ("configure", "--yes"), unchanged=True),
    Act("Once more: nothing to do", WHISK, ("--create", *ACTIONS), unchanged=True),
    Act("A new build of the NameNode", WHISK, ("--update", *ACTIONS), new_jar=True),
    Act("How it is", CREATE, ("status",), unchanged=True),
    Act("How it is", CONFIGURE, ("status",), unchanged=True),
    Act("How it is", WHISK, ("--verify", *ACTIONS), unchanged=True),
    Act("Take it all away", CREATE, ("destroy", "--yes")),
)
"""The story."""
