"""Genesis documents: build, validate, test networks."""

__all__ = ["app_state", "build", "digest", "kept", "reading"]
