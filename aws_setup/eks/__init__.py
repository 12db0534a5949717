"""The EKS cluster's node groups, add-ons, access, storage and kubeconfig."""
