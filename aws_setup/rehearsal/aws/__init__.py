"""The emulated AWS services, each with its own rules beside or instead of moto's."""
