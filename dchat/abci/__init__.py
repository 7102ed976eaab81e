"""Our application for another engine (`dchat abci`), and our engine with another application (--proxy-app)."""

__all__ = ["engine", "process"]
