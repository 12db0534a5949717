"""The controllers that move the emulated cluster's objects along."""
