"""The complete procedure on a real AWS account; runs only with --live."""
