"""Amazon EKS, emulated without moto; store.py has its state."""
