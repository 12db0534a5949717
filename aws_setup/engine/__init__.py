"""The frame: steps, plan, runner, retries, event log and receipt; knows no resource."""
