"""The ZooKeeper ensemble: its configuration, servers and znodes."""
