"""The admin API below /_rehearsal: call log, snapshot, faults, permissions, clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from aws_setup.rehearsal.core import image_registry
from aws_setup.rehearsal.core.clock import ManualClock
from aws_setup.rehearsal.core.dispatch import Cloud
from aws_setup.rehearsal.core.faults import FAULT_RULES
from aws_setup.rehearsal.core.image_registry import ImageRegistries
from aws_setup.rehearsal.core.protocol import HttpAnswer, HttpRequest
from aws_setup.rehearsal.core.settings import Settings

PREFIX = "/_rehearsal/"


def answer(cloud: Cloud, request: HttpRequest) -> HttpAnswer:
    """Answer a request to the admin API, in JSON."""
    path = request.target.partition("?")[0].removeprefix(PREFIX).strip("/")
    if (request.method, path) == ("GET", "checkip"):
        return HttpAnswer(200, f"{cloud.settings.operator_address}\n".encode())
    if path.startswith(image_registry.PREFIX):
        base = f"http://{request.headers.get('host', '')}"
        return image_registry.answer(cloud.store_of(ImageRegistries), request, base)
    routes = ROUTES | cloud.admin_routes
    route = routes.get((request.method, path))
    if route is None:
        known = ", ".join(f"{method} {PREFIX}{name}" for method, name in routes)
        return _json({"error": f"no such route; the routes are: {known}"}, status=404)
    try:
        body = json.loads(request.body) if request.body else None
        with cloud.lock:
            return _json(route(cloud, body))
    except ValidationError as error:
        return _json({"error": validation_message(error)}, status=400)
    except ValueError as error:
        return _json({"error": str(error)}, status=400)


def validation_message(error: ValidationError) -> str:
    """Return the first problem of faults or settings, in one line."""
    first = error.errors()[0]
    location = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{location}: {first['msg']}{more}"


def _json(value: Any, *, status: int = 200) -> HttpAnswer:
    body = json.dumps(value, default=str).encode()
    return HttpAnswer(status=status, body=body, headers={"Content-Type": "application/json"})


def _calls(cloud: Cloud, _: Any) -> Any:
    return [asdict(call) for call in cloud.calls]


def _forget_calls(cloud: Cloud, _: Any) -> Any:
    cloud.calls.clear()
    return []


def _snapshot(cloud: Cloud, _: Any) -> Any:
    return [asdict(resource) for resource in cloud.snapshot()]


def _faults(cloud: Cloud, _: Any) -> Any:
    return FAULT_RULES.dump_python(cloud.faults.rules)


def _add_faults(cloud: Cloud, body: Any) -> Any:
    cloud.faults.add(*(body if isinstance(body, list) else [body]))
    return _faults(cloud, None)


def _clear_faults(cloud: Cloud, _: Any) -> Any:
    cloud.faults.clear()
    return []


def _settings(cloud: Cloud, _: Any) -> Any:
    return cloud.settings.model_dump()


def _change_settings(cloud: Cloud, body: Any) -> Any:
    """Replace some settings: permissions, credentials, quotas, …; not the clock's speed."""
    changed = Settings.model_validate(cloud.settings.model_dump() | (body or {}))
    for name in body or {}:
        setattr(cloud.settings, name, getattr(changed, name))
    return _settings(cloud, None)


def _chaos(cloud: Cloud, _: Any) -> Any:
    if cloud.random_faults is None:
        raise ValueError("random faults are off: start the cloud with --chaos SEED")
    return cloud.random_faults.report()


def _clock(cloud: Cloud, body: Any) -> Any:
    if body and isinstance(cloud.clock, ManualClock):
        cloud.clock.advance(float(body["advance"]))
    return {"now": cloud.clock.now(), "speed": cloud.clock.speed}


ROUTES: dict[tuple[str, str], Callable[[Cloud, Any], Any]] = {
    ("GET", "calls"): _calls,
    ("DELETE", "calls"): _forget_calls,
    ("GET", "snapshot"): _snapshot,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "settings"): _settings,
    ("POST", "settings"): _change_settings,
    ("GET", "chaos"): _chaos,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _clock,
}
"""The handlers of the admin API, by method and path."""
