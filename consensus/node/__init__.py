"""The engine as a library: its parts wired around any application, and a node from a folder and a class."""

__all__ = ["application", "commit_watch", "engine", "errors", "gossip", "home", "node", "plain_http", "program"]
