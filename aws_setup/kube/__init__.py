"""The Kubernetes API of the EKS cluster; the only importer of kubernetes."""
