"""The users' own tags, and the permissions boundary that an organisation may demand of roles."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MOST_TAGS = 35
"""AWS takes 50 tags on a resource. A deployment, its pauses and Kubernetes' volume driver use up to
15 of them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html"""

LONGEST_KEY, LONGEST_VALUE = 127, 255
"""Characters of a tag's key and value. EC2, IAM and EKS take one more each than ELB does:
https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/add-remove-tags.html
Kubernetes' volume driver counts the bytes of UTF-8, and creates no volume with more of them:
https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/pkg/driver/validation.go"""

SHORTEST = 1
"""Characters of a key, and of a value: EventBridge Scheduler takes no empty one.
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Tag.html"""

RESERVED = (
    "aws:",
    "lambda-fs:",
    "kubernetes.io",
    "KubernetesCluster",
    "eks:",
    "CSIVolume",
    "ebs.csi.aws.com/",
)
"""Beginnings of keys that AWS, this project or Kubernetes use; its volume driver refuses them, too:
https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md"""

OWN = ("name", "project", "component")
"""Keys whose values λFS's own scripts select machines by."""


def _tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    for key, value in tags.items():
        problem = _problem(key, value) or _same_key(key, tags)
        if problem:
            raise ValueError(problem)
    if len(tags) > MOST_TAGS:
        raise ValueError(
            f"it has {len(tags)} tags; AWS takes 50 on a resource, and this project and Kubernetes "
            f"need up to {50 - MOST_TAGS} of them, so at most {MOST_TAGS} are allowed"
        )
    return dict(tags)


def _problem(key: str, value: str) -> str:
    """Return why AWS, or this project, cannot take a tag; '' when it can."""
    folded = key.casefold()
    reserved = next((it for it in RESERVED if folded.startswith(it.casefold())), "")
    if reserved:
        return f"the tag {key!r} begins with {reserved}, which is reserved"
    if folded in OWN:
        return f"the tag {key!r} is set by this project: λFS selects machines by it"
    if len(key) < SHORTEST:
        return "the key of a tag is empty"
    of_key = _text_problem(key, LONGEST_KEY)
    of_value = _value_problem(value)
    if of_key:
        return f"the key of the tag {key[:40]!r} {of_key}"
    return f"the value of the tag {key!r} {of_value}" if of_value else ""


def _same_key(key: str, tags: Mapping[str, str]) -> str:
    """Return that another key differs in upper and lower case alone; '' where none does.

    EC2 and EKS take both, IAM takes one: roles and certificates could not be made.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    """
    same = [other for other in tags if other != key and other.casefold() == key.casefold()]
    if not same:
        return ""
    return f"the tags {key!r} and {same[0]!r} are one for IAM, which ignores case: remove one"


def _value_problem(value: str) -> str:
    if value.lower().startswith("aws:"):
        return "begins with aws:, which is reserved"
    return _text_problem(value, LONGEST_VALUE)


def _text_problem(text: str, longest: int) -> str:
    if len(text) < SHORTEST:
        return "is empty, which EventBridge Scheduler does not take: give it one, such as '-'"
    if len(text) > longest:
        return f"has {len(text)} characters, of {longest}"
    size = len(text.encode(errors="surrogatepass"))
    if size > longest:
        return f"takes {size} bytes in UTF-8, of {longest}"
    bad = next((char for char in text if not _allowed(char)), "")
    if bad:
        return f"contains {bad!r}, which not every service takes"
    return "begins or ends with a space" if text != text.strip() else ""


def _allowed(char: str) -> bool:
    """Whether IAM and EKS take a character in a tag, and Kubernetes' annotations can carry it.

    IAM: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Tag.html. Kubernetes separates the
    tags of a load balancer with `,` and `=`, so `=` is left out.
    """
    return unicodedata.category(char)[0] in "LN" or char in " _.:/+-@"


def _boundary(arn: str) -> str:
    if not re.fullmatch(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", arn, re.ASCII):
        raise ValueError(
            f"{arn!r} is not the ARN of a managed policy, such as "
            "arn:aws:iam::123456789012:policy/boundary"
        )
    return arn


Tags = Annotated[Mapping[str, str], AfterValidator(_tags)]
"""Additional tags of everything that a run makes."""

BoundaryArn = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_boundary)]
"""The ARN of the managed policy that limits roles."""
