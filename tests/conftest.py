"""What every test shares: no real credentials, no real AWS configuration, no real home folder."""

from __future__ import annotations

import functools
import gc
import os
from pathlib import Path

import botocore.session
import pytest

# Every session of boto3 reads AWS's service models anew (EC2's alone has 100,000 objects). Tests
# create hundreds of sessions, so they share what was read.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test is a failure: there, everything that a test needs can be had."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_finish() -> None:
    """Exclude what was imported from garbage collections, which then take a fraction of a second.

    Collections also come earlier: the interpreter starts a full one when a quarter of the objects
    are new, and what is frozen does not count.
    """
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the test on a real AWS account."""
    parser.addoption("--live", action="store_true", help="also run on a real AWS account")
    parser.addoption("--live-limit", type=float, metavar="USD", help="most that --live may cost")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each file on one worker, for what its tests share; test_crash.py is spread.

    Without --live the tests on a real account are not even skipped.
    """
    if not config.getoption("--live"):
        items[:] = [item for item in items if not item.get_closest_marker("live")]
    elif not config.getoption("--live-limit"):
        raise pytest.UsageError("--live requires --live-limit USD")
    for item in items:
        if item.path.name != "test_crash.py":
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture
def live_limit(request: pytest.FixtureRequest) -> float:
    """Return the US dollars that the test may cost."""
    return float(request.config.getoption("--live-limit"))


@pytest.fixture(autouse=True)
def walled_off(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Give the test fake credentials and an empty home, so that nothing real is reached."""
    if request.node.get_closest_marker("live"):
        return
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREHEARSAL0000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("NO_COLOR", "1")
