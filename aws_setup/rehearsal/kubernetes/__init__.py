"""An emulated Kubernetes API server for the official client and for real helm 3 and 4.

`server` serves HTTP, `api` stores and validates the objects, `controllers` reconciles them,
`eks_bridge` runs one server for each cluster of the emulated EKS.
"""
