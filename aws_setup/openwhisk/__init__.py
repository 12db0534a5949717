"""OpenWhisk on the cluster: Helm release, secrets, certificate, load balancer, readiness."""
