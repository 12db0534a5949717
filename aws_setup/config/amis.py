"""The published λFS AMIs: a row for each region. To support a region, add its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Ami:
    """An AMI: its id, which is valid in one region only, and its name."""

    id: str
    name: str


AMIS: Mapping[str, Mapping[str, Ami]] = MappingProxyType(
    {
        "us-east-1": {
            "lambda_fs_client_ami": Ami("ami-079ac4c46055b2bdf", "lambdafs-client"),
            "zookeeper_ami": Ami("ami-0700bf4465e5fd16d", "lambdafs-zookeeper"),
            "ndb_manager_ami": Ami("ami-0ef872c16032b2aeb", "ndb-manager"),
            "ndb_datanode1_ami": Ami("ami-02b05337b4142f447", "ndb-datanode-type1"),
            "ndb_datanode2_ami": Ami("ami-0a3d55fdd1fe9a6b8", "ndb-datanode-type2"),
            "hopsfs_ami": Ami("ami-093cb0299f0b291e6", "hopsfs-client-namenode"),
        },
    }
)
"""Region -> configuration key -> the AMI that λFS's authors published; all are x86_64."""

DEFAULT_REGION = "us-east-1"
"""The region whose AMIs are the defaults of the configuration keys."""

DEFAULT_AMIS = AMIS[DEFAULT_REGION]


def region_of(ami_id: str) -> str:
    """Return the region in which λFS's authors published an AMI; '' for any other AMI."""
    return next(
        (region for region, row in AMIS.items() if ami_id in {ami.id for ami in row.values()}), ""
    )


def ami_for_region(key: str, ami_id: str, region: str) -> str:
    """Return the AMI to use in a region for the value of a configuration key.

    A published AMI of another region is replaced by the one that the region's row has for the
    key. Any other AMI, and any AMI in a region without a row, stays.
    """
    row = AMIS.get(region, {})
    published = {other[key].id for other in AMIS.values() if key in other}
    return row[key].id if ami_id in published and key in row else ami_id
