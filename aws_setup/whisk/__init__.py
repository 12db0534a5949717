"""OpenWhisk's REST API and the NameNode actions registered there."""
