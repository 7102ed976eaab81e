"""The gRPC services as HTTP and JSON under /v1: one table of paths, made into routes and OpenAPI by the schemas."""

__all__ = ["calls", "json_form", "openapi", "records", "table"]
