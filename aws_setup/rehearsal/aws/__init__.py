"""The emulated AWS services, with rules beside or instead of moto's."""
