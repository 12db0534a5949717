"""Documents, help and samples agree with the code."""
