"""The controllers of the emulated cluster."""
