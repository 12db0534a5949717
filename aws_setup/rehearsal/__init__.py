"""The rehearsal: an emulated AWS on loopback that validates requests as AWS does, and the demo."""
