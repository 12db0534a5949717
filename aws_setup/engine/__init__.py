"""The frame: steps, plan, runner, result, waiting, event log and receipt; knows no AWS resource."""
