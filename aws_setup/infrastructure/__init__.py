"""The AWS resources of the first script: one Step per class."""
