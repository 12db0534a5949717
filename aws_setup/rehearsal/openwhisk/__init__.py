"""A stand-in OpenWhisk: nginx and controller in one, real HTTP and TLS on loopback."""
