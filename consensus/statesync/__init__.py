"""State sync: serving snapshots and light blocks to nodes that are new, and being one."""

__all__ = ["backfill", "bootstrap", "chunks", "light_blocks", "progress", "reactor", "syncer"]
