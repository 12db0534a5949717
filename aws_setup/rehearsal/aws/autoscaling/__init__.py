"""EC2 Auto Scaling, emulated without moto; store.py has its state."""
