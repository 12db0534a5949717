"""The emulator's core: dispatch, protocol, permissions, faults, clock; without any service."""
