"""The gRPC door: the services of proto/dchat/v1, and the guard that every call passes."""

__all__ = ["door", "server"]
