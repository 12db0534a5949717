"""Fixes for errors of helm whose own text names the cause but not what to do."""

from __future__ import annotations

import re

from aws_setup.engine.http_deadline import clock_hint
from aws_setup.errors import Place, address_hint
from aws_setup.kube.errors import HINT_NAME, HINT_NETWORK, refusal_hint

TIMED_OUT = "i/o timeout"
"""What Go programs say of a connection whose packets are dropped."""

NETWORK = (
    (("no such host", "server misbehaving"), HINT_NAME),
    (("network is unreachable", "no route to host", "connection reset"), HINT_NETWORK),
)
"""What Go programs say of a network, and the fixes (golang/go: src/net/net.go, errNoSuchHost and
errServerMisbehaving; src/syscall/zerrors_linux_amd64.go)."""

HINT_RERUN = "fix the cause and run the same command again: it resumes from here"

KUBE_VERSION = re.compile(
    r"requires kubeVersion: (?P<wanted>.+?) which is incompatible with Kubernetes "
    r"v?(?P<version>\d+\.\d+\.\d+)(?P<suffix>-\S+)?"
)
"""helm/helm, pkg/action/action.go; the same text in helm 3 and 4."""

COMPARATOR = re.compile(r"(?P<sign>>=|<=|>|<|=)\s*v?(?P<number>\d{1,9}(\.\d{1,9}){0,2})(?![\w.-])")


def hint_for(output: str) -> str:
    """Return how to fix what helm reports; a chart's range of Kubernetes versions has two causes.

    helm 3 counts EKS's `v1.36.0-eks-…` as a pre-release, and a range without a pre-release
    excludes them all (https://github.com/Masterminds/semver#working-with-prerelease-versions).
    """
    # A webhook that times out is reached by the API server, not from here.
    if refused := refusal_hint(output):
        return refused
    if hint := _network_hint(output):
        return hint
    found = KUBE_VERSION.search(output)
    if found is None:
        return HINT_RERUN
    wanted, version = found["wanted"].strip(), found["version"]
    if found["suffix"] and "-0" not in wanted and _allows(wanted, version):
        corrected = COMPARATOR.sub(lambda one: f"{one[0]}-0", wanted)
        return (
            "install helm 4, which ignores the suffix of EKS's version, or write "
            f'kubeVersion: "{corrected}" in the Chart.yaml of your copy of the chart'
        )
    return (
        f"use a chart for Kubernetes {version} (openwhisk_chart, openwhisk_chart_ref), or a "
        f"cluster whose version is in {wanted}"
    )


def _network_hint(output: str) -> str:
    """Return the fix of a connection that does not come about; '' for anything else."""
    if TIMED_OUT in output:
        return address_hint(Place.ENDPOINT)
    named = (hint for texts, hint in NETWORK if any(text in output for text in texts))
    return clock_hint(output) or next(named, "")


def _allows(wanted: str, version: str) -> bool:
    """Say whether a range has a version, its suffix aside; a range that is not read may have it."""
    if "||" in wanted:
        return True
    return all(_holds(one["sign"], version, one["number"]) for one in COMPARATOR.finditer(wanted))


def _holds(sign: str, version: str, number: str) -> bool:
    limit = [int(part) for part in number.split(".")]
    have = [int(part) for part in version.split(".")][: len(limit)]
    return {
        ">=": have >= limit,
        "<=": have <= limit,
        ">": have > limit,
        "<": have < limit,
        "=": have == limit,
    }[sign]
