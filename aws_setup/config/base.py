"""What every section of the configuration shares: frozen models, checked types, documented keys."""

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


class Section(BaseModel):
    """Some keys of the configuration file; the docstring below a field is the key's description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


def _network(text: str) -> str:
    try:
        return str(IPv4Network(text))
    except (AddressValueError, NetmaskValueError):
        raise ValueError(f"{text!r} is not an IPv4 network such as 10.0.0.0/16") from None
    except ValueError:
        whole = IPv4Network(text, strict=False)
        raise ValueError(f"{text} has host bits set; the network is {whole}") from None


def _local_path(text: str, info: ValidationInfo) -> str:
    """Expand `~` and, when the loader says from where, make a relative path absolute."""
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

InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")]
"""An EC2 instance type, such as r5.4xlarge."""

AmiId = Annotated[str, StringConstraints(pattern=r"^ami-[0-9a-f]{8,17}$")]
"""An AMI id."""

Count = Annotated[int, Field(ge=0, le=1000)]
"""How many of something."""

LocalPath = Annotated[str, AfterValidator(_local_path)]
"""A file or folder on this computer; `~` is expanded, relative ones start from the YAML file."""
