"""Container images of NameNodes, and the configuration files that they contain, by their paths.

The published image is configured for its author's deployment: fixed addresses of NDB and
ZooKeeper, and the login of the published SQL scripts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SITE, NDB = "/conf/hdfs-site.xml", "/metadata-dal/ndb-config.properties"
"""Where the published image has them (https://github.com/Scusemua/openwhisk-runtime-java)."""

PUBLISHED = "scusemua/java8action:latest"

AUTHORS_SITE = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <property>
    <name>serverless.endpoint</name>
    <value>https://a0a1a2a3a4a5a6a7a8a9-1234567890.us-east-1.elb.amazonaws.com:443/api/v1/web/whisk.system/default/namenode</value>
  </property>
  <property><name>serverless.deployments.max</name><value>20</value></property>
  <property><name>serverless.deployments.baseline</name><value>20</value></property>
  <property>
    <name>serverless.zookeepers.hosts</name>
    <value>10.0.8.233:2181,10.0.4.113:2181,10.0.14.89:2181</value>
  </property>
  <property><name>serverless.tcp.enabled</name><value>true</value></property>
  <property><name>serverless.tcp.port</name><value>6000</value></property>
  <property>
    <name>dfs.storage.driver.configfile</name>
    <value>/metadata-dal/ndb-config.properties</value>
  </property>
</configuration>
"""

AUTHORS_NDB = b"""\
com.mysql.clusterj.connectstring=10.0.6.227:1186
com.mysql.clusterj.database=vanilla_hopsfs
io.hops.metadata.ndb.mysqlserver.host=10.0.6.227
io.hops.metadata.ndb.mysqlserver.port=3306
io.hops.metadata.ndb.mysqlserver.username=user
io.hops.metadata.ndb.mysqlserver.password=123password123
"""


@dataclass
class ContainerImages:
    """Image -> its configuration files; tests add the images that users build."""

    files: dict[str, Mapping[str, bytes]] = field(
        default_factory=lambda: {PUBLISHED: {SITE: AUTHORS_SITE, NDB: AUTHORS_NDB}}
    )


def image_of(kind: str, manifest: str) -> str:
    """Return the image of a kind in a runtimes manifest, '' where there is none."""
    document: Any = json.loads(manifest or "{}")
    for family in document.get("runtimes", {}).values():
        for entry in family:
            if entry.get("kind") == kind and "image" in entry:
                image = entry["image"]
                prefix = f"{image['prefix']}/" if image.get("prefix") else ""
                return f"{prefix}{image['name']}:{image.get('tag', 'latest')}"
    return ""
