"""Amazon EKS, emulated wholly: an area a module, their state in model.py."""
