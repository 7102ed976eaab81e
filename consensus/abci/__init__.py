"""The interface between the engine and an application: ABCI 2.0's meaning, as plain Python."""

__all__ = ["interface", "requests"]
