"""SQL on the NDB cluster: accounts, schema scripts, migrations."""
