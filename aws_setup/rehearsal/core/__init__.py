"""The emulator's core: dispatch, protocol, permissions, faults, clock; knows no single service."""
