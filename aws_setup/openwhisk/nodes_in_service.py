"""Whether a load balancer of OpenWhisk has a node in service: without one it answers nobody.

https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeInstanceHealth.html
"""

from __future__ import annotations

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.engine.wording import count_of
from aws_setup.openwhisk.listener_access import balancer_of

IN_SERVICE = "InService"


def out_of_service(ctx: Context, host: str) -> str:
    """Return why no node behind a Classic Load Balancer is in service; '' when one is.

    Also '' where it is not known: AWS does not list a balancer of that host name, or may not be
    asked.
    """
    return advice(lambda: _out_of_service(ctx, host), lambda _: "")


def _out_of_service(ctx: Context, host: str) -> str:
    # One that is younger than what this run has listed is asked for again.
    balancer = balancer_of(ctx, host) or balancer_of(ctx, host, fresh=True)
    if balancer is None:
        return ""
    name = str(balancer["LoadBalancerName"])
    states = ctx.aws.elb.describe_instance_health(LoadBalancerName=name)["InstanceStates"]
    if any(state["State"] == IN_SERVICE for state in states):
        return ""
    reasons = sorted({str(state.get("Description", "")) for state in states} - {"", "N/A"})
    why = f": {'; '.join(reasons)}" if reasons else ""
    of = f"0 of {count_of(len(states), 'node')} in service" if states else "no node is registered"
    return f"{of} at the load balancer {name}{why}"
