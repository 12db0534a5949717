"""The demo: the three scripts with the emulated AWS, from plan to destroy."""
