"""OpenWhisk's keys where the deployment's Secret has lost them: the release has them, too.

The database knows the keys with which the job init-couchdb has run, once: it writes the subjects
of system and guest from them (apache/openwhisk-deploy-kube, configMapFiles/initCouchDB/initdb.sh),
and with other keys each request is answered 401 for ever. So keys of a release that exists are
never replaced by new ones while its database is initialised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from aws_setup.aws.context import Context
from aws_setup.engine.step import Drift
from aws_setup.errors import Refused, SetupError
from aws_setup.kube.connect import kube_client
from aws_setup.kube.objects import SECRET, decode_secret
from aws_setup.openwhisk.immutable_fields import at
from aws_setup.openwhisk.one_time_jobs import APPLIED, find_initialised
from aws_setup.openwhisk.release_records import records_of, status_of, unpack
from aws_setup.openwhisk.secrets import KEYS, secret_name

IN_VALUES: Mapping[str, str] = {
    "system": "whisk.auth.system",
    "guest": "whisk.auth.guest",
    "database": "db.auth.password",
}
"""The values of the chart that are the keys."""

IN_CHART: Mapping[str, tuple[str, str]] = {
    "system": ("whisk.auth", "system"),
    "guest": ("whisk.auth", "guest"),
    "database": ("db.auth", "db_password"),
}
"""The chart's own Secrets, named after the release, and their keys (ow-whisk-secret.yaml and
ow-db-secret.yaml in helm/openwhisk/templates)."""


def kept_keys(ctx: Context) -> dict[str, str]:
    """Return the keys that the release has: by helm's newest record, else the chart's Secrets."""
    found: dict[str, str] = {}
    for values in _values_of_revisions(ctx):
        known = {key: at(values, path) for key, path in IN_VALUES.items()}
        found = {key: value for key, value in known.items() if isinstance(value, str)} | found
    missing = KEYS - found.keys()
    return found | {key: value for key in missing if (value := _in_chart(ctx, key))}


def _values_of_revisions(ctx: Context) -> Iterator[Mapping[str, object]]:
    """Yield the values of the release's revisions: the newest that was applied comes first."""
    config = ctx.config
    records = records_of(kube_client(ctx), config.openwhisk_release, config.openwhisk_namespace)
    live = [record for record in records if status_of(record) != "uninstalled"]
    revisions = []
    for record in live:
        with suppress(SetupError):  # Another record may be whole; a damaged one has its own error.
            document = unpack(record)
            number = int(document.get("version") or 0)
            revisions.append((status_of(record) in APPLIED, number, document.get("config") or {}))
    for _, _, values in sorted(revisions, key=lambda item: item[:2], reverse=True):
        yield values


def _in_chart(ctx: Context, key: str) -> str:
    config, (part, name) = ctx.config, IN_CHART[key]
    secret = f"{config.openwhisk_release}-{part}"
    held = kube_client(ctx).get(SECRET, secret, config.openwhisk_namespace)
    return decode_secret(held).get(name, "") if held else ""


def lost_keys(ctx: Context, missing: frozenset[str]) -> tuple[Drift, ...]:
    """Return the drift of keys that the Secret lacks: they are taken back from the release.

    Nothing where OpenWhisk has no database yet: then new keys are right.

    Raises:
        Refused: nothing has them any more, and the database accepts no others.
    """
    kept = kept_keys(ctx)
    names = ", ".join(sorted(missing))
    if missing <= kept.keys():
        has = f"the Secret {secret_name(ctx.config)} lacks {names}"
        return (Drift("keys", has, "taken back from the release"),)
    if not (why := find_initialised(ctx)):
        return ()
    lost, config = ", ".join(sorted(missing - kept.keys())), ctx.config
    raise Refused(
        f"OpenWhisk's keys are lost: {lost}",
        f"the Secret {secret_name(config)} has them no more, nor has the release, and the database "
        f"knows no others ({why})",
        f"restore the Secret {secret_name(config)} of the namespace {config.openwhisk_namespace} "
        f'from a backup; or, to lose all that is registered, run destroy --only "openwhisk '
        f'release", then configure',
    )


def replaced_keys(
    ctx: Context, current: Mapping[str, object], desired: Mapping[str, object]
) -> tuple[Drift, ...]:
    """Return the conflict of keys that differ from those of the release, '' counts as none.

    Args:
        ctx: the step's context.
        current: the values of the release that is deployed.
        desired: those that it should have.
    """
    paths = IN_VALUES.values()
    changed = [
        path for path in paths if at(current, path) and at(current, path) != at(desired, path)
    ]
    if not changed or not find_initialised(ctx):
        return ()
    config = ctx.config
    keys = [key for key, path in IN_VALUES.items() if path in changed]
    lacking = ",".join(f'"{key}":null' for key in keys)
    fix = (
        f"leave {', '.join(changed)} out of openwhisk_values, and run kubectl -n "
        f"{config.openwhisk_namespace} patch secret {secret_name(config)} --type merge -p "
        f"'{{\"data\":{{{lacking}}}}}', then configure: it takes them back from the release"
    )
    has = "as the database knows it" if len(keys) == 1 else "as the database knows them"
    return (Drift(f"{', '.join(keys)} key of OpenWhisk", has, "another", fix),)
