"""What all sections of the configuration share: the base model and the types of values."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

FOLDERS = "folders"
"""Key of the validation context: a function from a configuration key to its base folder."""

FORMS: dict[str, str] = {}
"""Pattern of a name or an id -> the words that say it: pydantic's error has the pattern alone."""


def of_form(pattern: str, words: str) -> StringConstraints:
    """Return the constraint of texts with a form, for an annotation.

    Args:
        pattern: a regular expression, also for the schema of editors.
        words: what is expected, as in "12 digits".
    """
    FORMS[pattern] = words
    return StringConstraints(pattern=pattern)


class Section(BaseModel):
    """A section of the configuration file.

    Its docstring is the section's heading in the sample, and the docstring below a field is the
    description of that key (descriptions.py).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        defer_build=True,
    )


def _network(text: str) -> str:
    try:
        return str(IPv4Network(text))
    except (AddressValueError, NetmaskValueError):
        raise ValueError(f"{text!r} is not an IPv4 network such as 10.0.0.0/16") from None
    except ValueError:
        network = IPv4Network(text, strict=False)
        raise ValueError(f"{text} has host bits set; the network is {network}") from None


def local_path(text: str, info: ValidationInfo) -> str:
    """Expand `~`; resolve a relative path against the folder in the validation context, if any."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    folder_of = (info.context or {}).get(FOLDERS)
    if folder_of:
        path = Path(folder_of(info.field_name)) / path
    return str(path)


Cidr = Annotated[str, AfterValidator(_network)]
"""An IPv4 network in CIDR notation, without host bits."""

InstanceType = Annotated[
    str, of_form(r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$", "an instance type, such as r5.4xlarge")
]
"""An EC2 instance type, such as r5.4xlarge."""

HEX = "8 to 17 hexadecimal digits"
"""The rest of an id of EC2."""

AmiId = Annotated[str, of_form(r"^ami-[0-9a-f]{8,17}$", f"ami- and {HEX}")]
"""An AMI id."""

WORD = "A-Za-z0-9_"
r"""What AWS and container registries call \w: ASCII. The one of pydantic's regular expressions has
all letters of Unicode: AWS refuses them, and two such patterns with a repetition take 70 ms.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
"""

RoleName = Annotated[
    str, of_form(rf"^[{WORD}+=,.@-]{{1,64}}$", "1 to 64 letters of a to z, digits and +=,.@_-")
]
"""The name of an IAM role."""

Count = Annotated[int, Field(ge=0, le=1000)]
"""A number of resources."""

LocalPath = Annotated[str, AfterValidator(local_path)]
"""A local file or folder; `~` is expanded, a relative path starts from the YAML file's folder."""
