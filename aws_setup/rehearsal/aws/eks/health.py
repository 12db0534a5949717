"""What EKS finds of a node group's Auto Scaling group and launch template when it is described.

https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html
"""

from __future__ import annotations

from aws_setup.rehearsal.aws.eks import nodes
from aws_setup.rehearsal.aws.eks.store import Document, Nodegroup, call_ec2, issue_of
from aws_setup.rehearsal.core.types import AwsError, Call, CloudApi


def lost_parts(cloud: CloudApi, call: Call, group: Nodegroup, document: Document) -> list[Document]:
    """Return the issues of what others have deleted; set the number of nodes that they have set.

    The desired size is that of the Auto Scaling group, which a cluster autoscaler changes, too.
    """
    if document["status"] not in ("ACTIVE", "DEGRADED") or not group.group_name:
        return []
    found = nodes.describe_autoscaling_group(cloud, call, group)
    if not found or found.get("Status"):
        text = (
            "We couldn't find the Auto Scaling group associated with the managed node group. You "
            "may be able to recreate an Auto Scaling group with the same settings to recover."
        )
        return [issue_of(("AutoScalingGroupNotFound", text))]
    document["scalingConfig"]["desiredSize"] = found["DesiredCapacity"]
    try:
        call_ec2(cloud, call, "DescribeLaunchTemplates", LaunchTemplateIds=[group.template_id])
    except AwsError:
        text = (
            "We couldn't find the Amazon EC2 launch template for your managed node group. You may "
            "be able to recreate a launch template with the same settings to recover."
        )
        return [issue_of(("Ec2LaunchTemplateNotFound", text))]
    return []
