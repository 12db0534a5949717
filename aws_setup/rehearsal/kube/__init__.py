"""A Kubernetes API server that is not one: what the official client and real helm 3 and 4 need.

`server` listens, `identity` and `tokens` say who calls, `api` answers, `state` holds the objects,
`rules` refuses what Kubernetes refuses, `controllers` moves things along, `faults` gets in the
way, `hooks` plays the API servers of an emulated EKS.
"""
