"""Inputs that the readers accept: the starting points of the damaged ones."""

from __future__ import annotations

import io
import zipfile

EMPTY = b"<configuration></configuration>"


def jar() -> bytes:
    """Return a small jar."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        # With a date of its own: writestr takes the time of now.
        for name, content in (("hdfs-site.xml", EMPTY), ("a/Main.class", b"\xca\xfe\xba\xbe")):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return held.getvalue()


SHOW = """Cluster Configuration
---------------------
[ndbd(NDB)]\t2 node(s)
id=2\t@10.0.8.1  (mysql-8.0.33 ndb-8.0.33, Nodegroup: 0, *)
id=3 (not connected, accepting connect from 10.0.8.2)

[mysqld(API)]\t1 node(s)
id=51\t@10.0.8.3  (mysql-8.0.33 ndb-8.0.33)
"""
SRVR = """Zookeeper version: 3.4.14-4c25d480e66aadd371de8bd2fd8da255ac140bcf, built on 03/06/2019
Latency min/avg/max: 0/0/0
Received: 1
Zxid: 0x100000002
Mode: follower
Node count: 4
"""
MNTR = "zk_version\t3.4.14\nzk_avg_latency\t0\nzk_server_state\tleader\nzk_znode_count\t4\n"
KUBECONFIG = """# mine
apiVersion: v1
clusters:
- {name: a, cluster: {server: 'https://x', certificate-authority-data: QQ==}}
users:
- name: a
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token],
      env: [{name: AWS_PROFILE, value: p}]}
contexts:
- {name: a, context: {cluster: a, user: a, namespace: n}}
current-context: a
"""
SSH = (
    'Host a b\n  Port 22\n  ProxyJump u@h:22\n  IdentityFile "~/.ssh/a b"\nMatch host c\n  User d\n'
)
LOCK = """schema: 1
region: us-east-1
configuration: {num_ndb_datanodes: 4, kubernetes_version: '1.33', vpc_cidr: 10.0.0.0/16}
infrastructure: {project: '1.0', zones: [use1-az1, use1-az2], amis: {ndb_ami: {id: ami-1}}}
cluster: {project: '1.0', chart: {commit: abc}, addons: {coredns: v1}, images: [a@sha256:b]}
namenodes: {project: '1.0', jar_sha256: abc}
"""
CONFIG = """deployment_name: lambda-fs
ssh_keypair_name: k
ssh_key_path: ~/k.pem
user_public_ip: [203.0.113.0/24, "2001:db8::/64"]
tags: {CostCenter: "4711"}
availability_zones: [us-east-1a, us-east-1b]
kubernetes_version: 1.30
num_ndb_datanodes: 4
eks_public_access_cidrs: [203.0.113.0/24]
"""
WORKLOAD = {
    "metadata": {"name": "a", "generation": 2},
    "spec": {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 0}}},
    "status": {
        "observedGeneration": 2,
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "conditions": [{"type": "Complete", "status": "True"}],
    },
}
ACTION = {
    "name": "namenode0",
    "namespace": "guest",
    "version": "0.0.3",
    "exec": {"kind": "java:8", "main": "a.Main"},
    "limits": {"memory": 2048, "concurrency": 4},
    "updated": 1764000000000,
    "annotations": [
        {"key": "web-export", "value": True},
        {"key": "lambda-fs", "value": {"jar_sha256": "a", "settings": 1, "version": "0.0.3"}},
    ],
    "parameters": [{"key": "actionMemory", "value": 2048}],
}
ACTIVATION = {
    "activationId": "a1",
    "response": {"status": "success", "success": True, "result": {"fileSystemOps": 1}},
    "annotations": [{"key": "waitTime", "value": 12}, {"key": "initTime", "value": 900}],
    "duration": 1000,
}
REVISION = {
    "name": "owdev",
    "version": 1,
    "manifest": "---\nkind: Service\nmetadata: {name: a}\n---\nkind: Job\nmetadata: {name: b}\n",
    "hooks": [{"manifest": "kind: Pod\nmetadata: {name: c}\n"}],
}
SECRET = {"metadata": {"name": "s", "namespace": "n"}, "data": {"guest": "YTpi", "tls.crt": "QQ=="}}
ROLES = "- rolearn: arn:aws:iam::1:role/a\n  username: a\n  groups: [system:masters]\n"
AWS_AUTH = {"metadata": {"name": "aws-auth"}, "data": {"mapRoles": ROLES}}
ADMINS = ["arn:aws:iam::1:role/b"]
PRODUCT = {
    "product": {"attributes": {"usagetype": "USW2-BoxUsage:r5.large"}},
    "terms": {
        "OnDemand": {"a": {"priceDimensions": {"b": {"unit": "Hrs", "pricePerUnit": {"USD": "1"}}}}}
    },
    "publicationDate": "2026-01-01T00:00:00Z",
}
RECEIPT = {"deployment": "d", "steps": {"vpc": {"id": "x"}}, "cost": {"since": "x", "parts": [1]}}
