"""What administers a running node: who may (a socket of the home, API keys), what they do, its record."""

__all__ = ["desk", "keys", "peers", "unix_door"]
