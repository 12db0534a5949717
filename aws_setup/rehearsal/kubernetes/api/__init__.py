"""The emulated Kubernetes API: objects, verbs, validation, patches, authentication."""
