"""The rehearsal cloud: an emulated AWS on loopback, strict enough to believe."""
