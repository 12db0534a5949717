"""An emulated Kubernetes API server: what the official client and real helm 3 and 4 need.

`server` listens, `api` holds and validates the objects, `controllers` moves them along,
`eks_bridge` runs one server for each cluster of the emulated EKS.
"""
