"""What every section of the configuration shares: frozen models, checked types, documented keys."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


class Section(BaseModel):
    """Some keys of the configuration file; the docstring below a field is the key's description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


def _network(text: str) -> str:
    return str(IPv4Network(text))


Cidr = Annotated[str, AfterValidator(_network)]
"""An IPv4 network in CIDR notation, without host bits."""

InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")]
"""An EC2 instance type, such as r5.4xlarge."""

AmiId = Annotated[str, StringConstraints(pattern=r"^ami-[0-9a-f]{8,17}$")]
"""An AMI id."""

Count = Annotated[int, Field(ge=0, le=1000)]
"""How many of something."""
