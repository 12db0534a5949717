"""The command line: options, verbs, questions and exit codes; the only importer of click."""
