"""The software on the VMs over SSH: ZooKeeper, MySQL NDB, SQL schema, clients."""
