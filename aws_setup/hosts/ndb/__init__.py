"""MySQL NDB Cluster on its machines: documents, evidence, and the steps that start it."""
