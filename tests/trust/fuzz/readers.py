"""Every reader of what others can write, with an input that it accepts.

Files of the user and of earlier runs, outputs of programs on the machines, and answers of helm,
Kubernetes and OpenWhisk.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_setup.aws.advice import advice
from aws_setup.aws.paused import GroupSizes, counted_pauses
from aws_setup.aws.pricing import Query, listed_price
from aws_setup.aws.run_lock import describe
from aws_setup.aws.run_lock_store import LockHolder, _generations
from aws_setup.config import load_config, lock_warnings
from aws_setup.config.lock_file import read_lock
from aws_setup.config.paths import credentials_path, namenodes_path, ndb_password_path
from aws_setup.eks import kubeconfig, kubeconfig_text
from aws_setup.eks.aws_auth import merge_entries
from aws_setup.engine.history import read_events
from aws_setup.engine.processes import this_process
from aws_setup.engine.receipt import read_costs, write_receipt
from aws_setup.engine.retry import retry_after
from aws_setup.engine.step import Found
from aws_setup.kube.errors import to_kube_error
from aws_setup.kube.objects import decode_secret
from aws_setup.kube.rollout import CHECKS, unready
from aws_setup.namenodes.action import DesiredAction, parse
from aws_setup.namenodes.checks import check_limits
from aws_setup.namenodes.jar_archive import names, read, with_entries
from aws_setup.namenodes.verify import invoke
from aws_setup.openwhisk import release_records
from aws_setup.openwhisk.credentials_file import missing_host, read_credentials
from aws_setup.openwhisk.credentials_file import read as read_wskprops
from aws_setup.openwhisk.helm import parse_documents
from aws_setup.openwhisk.helm_hints import hint_for
from aws_setup.report.page import page
from aws_setup.report.timeline import text_timeline
from aws_setup.software.clients.benchmark import with_followers
from aws_setup.software.clients.login import stored_password
from aws_setup.software.clients.namenode_record import read_record
from aws_setup.software.clients.remote_files import read_files
from aws_setup.software.hadoop_xml import HadoopXml
from aws_setup.software.hdfs_format import error_line
from aws_setup.software.java_properties import JavaProperties
from aws_setup.software.ndb import config_files
from aws_setup.software.ndb.initial_start import InitStage, read_marker
from aws_setup.software.ndb.ndb_mgm import parse_show
from aws_setup.software.sql import scripts
from aws_setup.software.sql.client import Mysql
from aws_setup.software.sql.migrations import read_applied
from aws_setup.software.sql.statements import split
from aws_setup.software.zookeeper.config import listed, parse_role
from aws_setup.ssh.files import parse_facts
from aws_setup.ssh.known_hosts import KnownHosts, keys_in_console
from aws_setup.ssh.ssh_config import SshSettings
from aws_setup.ssh.user_known_hosts import user_keys
from aws_setup.verify.chain import Address
from aws_setup.verify.machine_checks import _read_disks
from aws_setup.verify.pod_probe import parse as parse_probe
from aws_setup.verify.service_checks import judge_data_nodes
from tests.trust.fuzz.adapters import (
    Reader,
    machine,
    of_json,
    of_object,
    on_file,
    openwhisk,
    refused_unwritten,
    stored,
    text,
)
from tests.trust.fuzz.samples import (
    ACTION,
    ACTIVATION,
    ADMINS,
    AWS_AUTH,
    CONFIG,
    KUBECONFIG,
    LOCK,
    MNTR,
    PRODUCT,
    RECEIPT,
    REVISION,
    SECRET,
    SHOW,
    SRVR,
    SSH,
    WORKLOAD,
    jar,
)

DATA = Path(__file__).parents[2] / "data"

R5_LARGE = Query("AmazonEC2", "BoxUsage:r5.large", {})


def _ssh_config(path: Path) -> None:
    route = SshSettings(path).route("a")
    for hop in route.jumps:
        SshSettings(path).jump(hop)


def _events(path: Path) -> None:
    records = read_events(path)
    page(records)
    for record in records:
        text_timeline(record)


def _lock(data: bytes, folder: Path) -> None:
    own, path = folder / "config_aws.yaml", folder / "file"
    own.write_text("ssh_keypair_name: k\nssh_key_path: /k.pem\n")
    path.write_bytes(data)
    with refused_unwritten(folder):
        lock = read_lock(path)
        _ = lock.repeated, lock.addons, lock.images, lock.zone_ids
        load_config(own, lock=lock)
        lock_warnings(own, lock)


def _kubeconfig(path: Path) -> None:
    document = kubeconfig.load(path)
    parts: dict[str, Any] = {
        "clusters": {"server": "https://y", "certificate-authority-data": "QQ=="},
        "users": {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "env": []}},
        "contexts": {"cluster": "a", "user": "a"},
    }
    cluster: Any = {"name": "zoo", "arn": "arn:aws:eks:us-east-1:123456789012:cluster/zoo"}
    complete = kubeconfig.complete_parts(document, "a", parts, cluster)
    kubeconfig.additions(document, "a", complete)
    kubeconfig.contains_entry(document, "a", complete)
    kubeconfig.remove_entry(document, "a")
    kubeconfig.rewrite(path, {**document, "users": []}, note=lambda _: None, copy=True)
    kubeconfig_text.edit(text(path.read_bytes()), {**document, "users": []})


def _record(value: Any) -> None:
    record = {"metadata": {"name": "r", "namespace": "n"}, "data": {}}
    packed = gzip.compress(json.dumps(value).encode())
    record["data"] = {"release": base64.b64encode(base64.b64encode(packed)).decode()}
    release_records.status_of(record)
    release_records.newest([record])
    list(release_records.objects_of(record))


def _jar(data: bytes, _: Path) -> None:
    file = io.BytesIO(data)
    for name in names(file, source="j"):
        read(file, name, source="j")
    with_entries(data, {"hdfs-site.xml": b"<configuration/>"}, source="j")


DESIRED = DesiredAction("java:8", "a.Main", 2048, 4)
ADDRESS = Address("10.0.0.1", 22)


def encoded(value: object) -> bytes:
    """Return a document as JSON."""
    return json.dumps(value).encode()


FILES: dict[str, tuple[bytes, Reader]] = {
    "configuration": (CONFIG.encode(), on_file(load_config)),
    "lock file": (LOCK.encode(), _lock),
    "events log": ((DATA / "create.events.jsonl").read_bytes()[:6000], on_file(_events)),
    "receipt": (
        encoded(RECEIPT),
        on_file(lambda path: write_receipt(path, {}, {"a": Found("b")}, known=["vpc"])),
    ),
    "costs": (encoded(RECEIPT), on_file(read_costs)),
    "kubeconfig": (KUBECONFIG.encode(), on_file(_kubeconfig)),
    "ssh_config": (SSH.encode(), on_file(_ssh_config)),
    "known_hosts": (
        b"i-1 ssh-rsa AAAAB3NzaC1yc2E=\n@revoked i-1 x y\n|1|a|b ssh-rsa AAAA\n",
        on_file(lambda path: (KnownHosts(path).keys("i-1"), user_keys([path], "i-1", 22))),
    ),
    "wskprops": (
        b"APIHOST=http://x\nAUTH=a:b\n# c\n",
        on_file(
            lambda path: (
                read_wskprops({"WSK_CONFIG_FILE": str(path)}, path),
                missing_host({}, path),
            )
        ),
    ),
    "credentials": (b"APIHOST=http://x\nAUTH=a:b\n", stored(credentials_path, read_credentials)),
    "namenode record": (
        b'{"prefix": "a", "namespace": "b", "deployments": 3, "api_host": "c"}',
        stored(namenodes_path, read_record),
    ),
    "password": (b"secret\n", stored(ndb_password_path, stored_password)),
    "SQL script": (
        b"-- x\nDELIMITER //\nCREATE PROCEDURE a() BEGIN SELECT ';'; END//\nDELIMITER ;\nSELECT 1;",
        lambda data, _: split(text(data)),
    ),
    "SQL scripts": (
        b"CREATE TABLE a (b INT);",
        lambda data, folder: (
            [(folder / name).write_bytes(data) for name in scripts.ORDER],
            scripts.load(str(folder)),
        ),
    ),
    "jar": (jar(), _jar),
}

MACHINES: dict[str, tuple[bytes, Reader]] = {
    "console": (
        b"-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAA x\n-----END SSH HOST KEY KEYS-----",
        lambda data, _: keys_in_console(text(data)),
    ),
    "ndb_mgm show": (
        SHOW.encode(),
        lambda data, _: judge_data_nodes(parse_show(text(data)), ["10.0.8.1", "10.0.8.2"]),
    ),
    "ndb marker": (
        encoded({"cluster": "a", "machine": "b", "stage": str(next(iter(InitStage)))}),
        lambda data, _: read_marker(text(data)),
    ),
    "config.ini": (
        b"[ndbd default]\nDataMemory=1G\n[ndbd]\nHostName=a\nNodeId=2\n",
        lambda data, _: config_files.differences(text(data), text(data)[::-1]),
    ),
    "srvr": (SRVR.encode(), lambda data, _: parse_role(data)),
    "mntr": (MNTR.encode(), lambda data, _: parse_role(data)),
    "znodes": (b"/\n/namenode0\n", lambda data, _: listed(text(data))),
    "facts": (b"abc 1.5 /a\nabc 2 /b c\n", lambda data, _: parse_facts(text(data))),
    "remote files": (b"QQ== /a\n- /b\n", lambda data, _: read_files(machine(data), ["/a"])),
    "df": (
        b"Use% IUse% Mounted\n10% 5% /\n11% - /boot efi\n",
        lambda data, _: _read_disks(machine(data)),
    ),
    "rows": (b"a\tdone\t4\tabc\n", lambda data, _: read_applied(Mysql(machine(data), "root"))),
    "probe": (b"10.0.0.1:22=0,0 x", lambda data, _: parse_probe(text(data), [ADDRESS])),
    "format log": (b"a\nERROR x\n", lambda data, _: error_line(text(data))),
    "properties": (
        b"a = b\\\n  c\nd\\u0041:e\n! comment\n",
        lambda data, _: JavaProperties.parse(data, source="x").with_values({"a": "b"}),
    ),
    "hdfs-site.xml": (
        b"<configuration><property><name>a</name><value>b</value></property></configuration>",
        lambda data, _: HadoopXml.parse(data, source="x").with_values({"a": "b"}),
    ),
    "benchmark": (
        b"followers:\n  - ip: 10.0.0.1\n    user: ubuntu\nother: 1\n",
        lambda data, _: with_followers(data, ["10.0.0.2"], source="x"),
    ),
}

ANSWERS: dict[str, tuple[bytes, Reader]] = {
    "helm manifest": (KUBECONFIG.encode(), lambda data, _: parse_documents(text(data))),
    "helm error": (b"chart requires kubeVersion: >= 1.30.0", lambda data, _: hint_for(text(data))),
    "helm record": (encoded(REVISION), of_json(_record)),
    "Kubernetes error": (
        b'{"kind": "Status", "message": "m", "code": 403}',
        lambda data, _: to_kube_error("GET", "/api/v1/pods", 403, text(data)),
    ),
    "workload": (
        encoded(WORKLOAD),
        of_object(lambda item: [unready(kind, item) for kind in CHECKS]),
    ),
    "secret": (encoded(SECRET), of_object(decode_secret)),
    "aws-auth": (
        encoded(AWS_AUTH),
        of_object(lambda item: merge_entries(item.get("data") or {}, admins=ADMINS, node_roles=[])),
    ),
    "action": (encoded(ACTION), lambda data, _: openwhisk(data).action("namenode0")),
    "actions": (encoded([ACTION]), lambda data, _: list(map(parse, openwhisk(data).listing()))),
    "namespaces": (b'["guest"]', lambda data, _: openwhisk(data).namespace()),
    "limits": (
        encoded({"limits": {"max_action_memory": 1048576, "min_action_memory": 1}, "runtimes": {}}),
        lambda data, _: check_limits(openwhisk(data).info(), DESIRED),
    ),
    "activation": (encoded(ACTIVATION), lambda data, _: invoke(openwhisk(data), "namenode0")),
    "refusal": (b'{"error": "no"}', lambda data, _: openwhisk(data, 403).action("a")),
    "price": (
        encoded(PRODUCT),
        lambda data, _: advice(lambda: listed_price([text(data)], R5_LARGE), str),
    ),
    "Retry-After": (b"120", lambda data, _: retry_after({"Retry-After": data.decode("latin-1")})),
    "sizes tag": (
        b"1/8/2",
        lambda data, _: (
            GroupSizes.parse(text(data)),
            counted_pauses({"Tags": [{"Key": "lambda-fs:paused-seconds", "Value": text(data)}]}),
        ),
    ),
}


def _run_lock(data: bytes, _: Path) -> str:
    """Return what a run prints of who holds the lock that a parameter describes."""
    held = {"Name": "/x/1", "Version": 1, "LastModifiedDate": LOCKED, "Value": text(data)}
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": DATE}}, "Parameters": [held]}
    [generation] = _generations(answer, "/x")
    return f"{describe(generation)} {generation.standing} {generation.document()}"


DATE = "Fri, 27 Nov 2026 12:00:00 GMT"
LOCKED = datetime(2026, 11, 27, 11, 59, tzinfo=UTC)
HOLDER = LockHolder(
    "0123456789abcdef", "user@host", "create", "2026-11-27 11:58 UTC", this_process()
)

SHOWN: dict[str, tuple[bytes, Reader]] = {
    "run lock": (HOLDER.text().encode(), _run_lock),
    # What others wrote, in each way in which the report prints.
    "printed": (b"a name of a resource", lambda data, _: text(data)),
}
"""Readers of which a text is printed."""

READERS = {**FILES, **MACHINES, **ANSWERS, **SHOWN}
