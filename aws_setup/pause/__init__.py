"""pause and resume: the steps that stop what costs most, keep all data, and start it again."""
