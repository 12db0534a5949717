"""The serverless NameNodes: actions, jar, endpoint, upload and verification."""
