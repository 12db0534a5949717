"""The demo: the three scripts against the rehearsal cloud, from nothing to nothing."""
