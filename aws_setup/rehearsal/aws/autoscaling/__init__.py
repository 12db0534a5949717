"""EC2 Auto Scaling, emulated wholly: an area a module, the groups in model.py."""
