"""Configuration files of the client images, as their author left them: for another deployment."""

from __future__ import annotations

import zipfile

from aws_setup.rehearsal.vms.disk import Disk

HOME = "/home/ubuntu"
TARGET = f"{HOME}/repos/hops/hadoop-dist/target"
LAMBDA_FS_RELEASE = "hadoop-3.2.0.3-SNAPSHOT"
HOPS_FS_RELEASE = "hadoop-3.2.0.2-RC0"
NAMENODE_JAR = (
    f"{HOME}/repos/hops/hadoop-hdfs-project/hadoop-hdfs/target/hadoop-hdfs-3.2.0.3-SNAPSHOT.jar"
)
"""The NameNodes' jar, where λFS's build writes it."""

MAIN_CLASS_FILE = "org/apache/hadoop/hdfs/serverless/OpenWhiskHandler.class"
BENCHMARK = f"{HOME}/repos/LambdaFS-BenchmarkingUtility/config.yaml"

AUTHORS_ENDPOINT = (
    "https://a0a1a2a3a4a5a6a7a8a9-1234567890.us-east-1.elb.amazonaws.com:443"
    "/api/v1/web/whisk.system/default/namenode"
)
AUTHORS_MANAGER = "172.31.6.10"
"""The NDB manager of the author's deployment; no VM of a rehearsal has this address."""

AUTHORS_DRIVER_FILE = "/home/ubuntu/experiments/ndb-config.properties"
"""A file that the image does not have."""

PUBLISHED_USER, PUBLISHED_PASSWORD = "user", "123password123"
"""The database user in the published SQL scripts and instructions."""

LAMBDA_FS_SITE = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="configuration.xsl"?>
<!-- Site-specific properties of the λFS client. -->
<configuration>
  <property>
    <name>serverless.endpoint</name>
    <value>{AUTHORS_ENDPOINT}</value>
    <description>The number of the deployment is appended.</description>
  </property>
  <property>
    <name>serverless.deployments.max</name>
    <value>37</value>
  </property>
  <property>
    <name>serverless.deployments.baseline</name>
    <value>36</value>
  </property>

  <!-- The ensemble of the last experiment -->
  <property>
    <name>serverless.zookeepers.hosts</name>
    <value>172.31.8.1:2181,172.31.8.2:2181</value>
  </property>
  <property>
    <name>serverless.platform</name>
    <value>openwhisk</value>
  </property>
  <property>
    <name>serverless.tcp.enabled</name>
    <value>true</value>
  </property>
  <property>
    <name>serverless.tcp.port</name>
    <value>6000</value>
  </property>
  <property>
    <name>dfs.storage.driver.configfile</name>
    <value>{AUTHORS_DRIVER_FILE}</value>
  </property>
  <property>
    <name>dfs.storage.driver.class</name>
    <value>io.hops.metadata.ndb.NdbStorageFactory</value>
  </property>
</configuration>
"""

HOPS_FS_SITE = """\
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <property>
    <name>dfs.storage.driver.configfile</name>
    <value>ndb-config.properties</value>
  </property>
</configuration>
"""

NDB_CONFIG = f"""\
# MySQL NDB of the last experiment
com.mysql.clusterj.connectstring={AUTHORS_MANAGER}:1186
com.mysql.clusterj.database=vanilla_hopsfs
com.mysql.clusterj.connection.pool.size=1
io.hops.metadata.ndb.mysqlserver.host={AUTHORS_MANAGER}
io.hops.metadata.ndb.mysqlserver.port=3307
io.hops.metadata.ndb.mysqlserver.username={PUBLISHED_USER}
io.hops.metadata.ndb.mysqlserver.password={PUBLISHED_PASSWORD}
io.hops.metadata.ndb.mysqlserver.connection_pool_size=1
"""

BENCHMARK_CONFIG = """\
# Configuration of the benchmark driver
namenodeEndpoint: hdfs://172.31.9.9:9000/
hdfsConfigFile: /home/ubuntu/experiments/hdfs-site.xml
commanderExecutesToo: true

# The clients of the last experiment
followers:
  - ip: 172.31.9.10
    user: ubuntu
  - ip: 172.31.9.11
    user: ubuntu
"""


def install_lambda_fs_files(disk: Disk) -> None:
    """Write λFS's jar, and its configuration files as another deployment used them."""
    _install(disk, LAMBDA_FS_RELEASE, LAMBDA_FS_SITE)
    disk.write(NAMENODE_JAR, "")
    with zipfile.ZipFile(disk.path(NAMENODE_JAR), "w") as jar:
        # Zip's first date, so that the jars of all VMs have the same bytes.
        jar.writestr(zipfile.ZipInfo(MAIN_CLASS_FILE), b"\xca\xfe\xba\xbe")
    disk.write(BENCHMARK, BENCHMARK_CONFIG)


def install_hops_fs_files(disk: Disk) -> None:
    """Write the configuration files of HopsFS's image, as another deployment used them."""
    _install(disk, HOPS_FS_RELEASE, HOPS_FS_SITE)


def _install(disk: Disk, release: str, site: str) -> None:
    folder = f"{TARGET}/{release}/etc/hadoop"
    disk.write(f"{folder}/hdfs-site.xml", site)
    disk.write(f"{folder}/ndb-config.properties", NDB_CONFIG, mode=0o640)
