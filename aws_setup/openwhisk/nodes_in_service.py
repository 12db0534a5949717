"""Whether a load balancer of OpenWhisk has a node in service: without one it answers nobody.

https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeInstanceHealth.html
"""

from __future__ import annotations

from aws_setup.aws.advice import advice
from aws_setup.aws.context import Context
from aws_setup.aws.session import pages
from aws_setup.engine.wording import count_of

IN_SERVICE = "InService"


def out_of_service(ctx: Context, host: str) -> str:
    """Return why no node behind a Classic Load Balancer is in service; '' when one is.

    Also '' where it is not known: AWS does not list a balancer of that host name, or may not be
    asked.
    """
    return advice(lambda: _out_of_service(ctx, host), lambda _: "")


def _out_of_service(ctx: Context, host: str) -> str:
    elb = ctx.aws.elb
    listed = pages(elb, "describe_load_balancers", "LoadBalancerDescriptions")
    names = [str(item["LoadBalancerName"]) for item in listed if item["DNSName"] == host]
    if not names:
        return ""
    states = elb.describe_instance_health(LoadBalancerName=names[0])["InstanceStates"]
    if any(state["State"] == IN_SERVICE for state in states):
        return ""
    reasons = sorted({str(state.get("Description", "")) for state in states} - {"", "N/A"})
    why = f": {'; '.join(reasons)}" if reasons else ""
    of = f"0 of {count_of(len(states), 'node')} in service" if states else "no node is registered"
    return f"{of} at the load balancer {names[0]}{why}"
