"""What runs on the EKS cluster, and the ways to it."""
