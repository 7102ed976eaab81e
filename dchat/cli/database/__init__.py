"""`dchat database`: the databases of a node that does not run."""

__all__ = ["group"]
