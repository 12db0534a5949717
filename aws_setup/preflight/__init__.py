"""Every check before the first write: quotas, AMIs, zones, permissions, prices."""
