"""Every check before the first write: key pair, AMIs, zones, quotas, permissions, prices."""
