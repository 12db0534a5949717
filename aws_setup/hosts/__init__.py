"""Steps on a machine once it answers SSH; their `find` asks the machine."""
