"""Genesis documents: build, validate, test networks."""

__all__ = ["app_state", "build", "ceremony", "digest", "kept", "reading"]
