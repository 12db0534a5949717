"""The fix of a volume and of an add-on, by what Kubernetes and EKS say it waits for."""

from __future__ import annotations

import pytest

from aws_setup.eks.volume_hints import NOT_AUTHORISED, addon_hint, volume_hint
from aws_setup.engine.wait import Pending, TooLate, wait_until
from tests.support.clock import RecordingClock

PROVISIONER = "ebs-csi-controller -c csi-provisioner"


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        (
            "Pending (ProvisioningFailed: failed to provision volume with StorageClass gp3: rpc "
            "error: code = Internal desc = Could not create volume: UnauthorizedOperation: You "
            "are not authorized)",
            NOT_AUTHORISED,
        ),
        (
            "Pending (ProvisioningFailed: could not create volume in EC2: WebIdentityErr: failed "
            "to retrieve credentials caused by: AccessDenied)",
            NOT_AUTHORISED,
        ),
        (
            "Pending (FailedScheduling: 0/3 nodes are available: 3 Insufficient memory.)",
            "kubectl describe nodes",
        ),
        (
            "Pending (FailedScheduling: no nodes available to schedule pods)",
            "kubectl describe nodes",
        ),
        (
            "Pending (FailedScheduling: running PreBind plugin VolumeBinding: binding volumes: "
            "context deadline exceeded)",
            PROVISIONER,
        ),
        (
            "Pending (FailedScheduling: 0/3 nodes are available: 3 node(s) didn't find available "
            "persistent volumes to bind.)",
            PROVISIONER,
        ),
        ("Pending (FailedMount: MountVolume.MountDevice failed)", PROVISIONER),
        ("Pending (ProvisioningFailed: VolumeLimitExceeded: too many)", PROVISIONER),
        ("Pending", PROVISIONER),
    ],
)
def test_a_volume_has_the_fix_of_what_it_waits_for(state: str, fix: str) -> None:
    assert fix in volume_hint(state)


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        ("CREATE_FAILED AccessDenied: the role may not", NOT_AUTHORISED),
        ("DEGRADED InsufficientNumberOfReplicas: no nodes", "kubectl -n kube-system get pods"),
        ("CREATING", "kubectl -n kube-system get pods"),
    ],
)
def test_an_add_on_without_nodes_does_not_blame_authorisation(state: str, fix: str) -> None:
    assert fix in addon_hint(state)


@pytest.mark.parametrize(
    ("last", "shown"), [(Pending("b", "hint of b"), "hint of b"), (Pending("b"), "general")]
)
def test_the_hint_of_the_last_state_is_the_one_that_is_shown(last: Pending, shown: str) -> None:
    states = iter([Pending("a", "hint of a")])

    def probe() -> bool | Pending:
        return next(states, last)

    with pytest.raises(TooLate) as caught:
        wait_until("x", probe, clock=RecordingClock(), deadline=60, pause=10, hint="general")
    assert caught.value.problems[0].hint == shown
