"""`dchat top`: nodes, votes, blocks and peers on a terminal, live; all of it read from the nodes' HTTP doors."""

__all__ = ["command", "readings", "screen", "tables"]
