"""The emulated OpenWhisk: nginx and controller in one server, HTTP and TLS on loopback."""
