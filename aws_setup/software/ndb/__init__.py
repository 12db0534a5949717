"""The MySQL NDB cluster: management server, data nodes, mysqld."""
