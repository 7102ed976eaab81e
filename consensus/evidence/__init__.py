"""Evidence of misbehaviour: the pool that judges and keeps it, and its gossip."""

__all__ = ["pool", "reactor"]
