"""Blocks, transactions and events in the tables of a PostgreSQL server, each exactly once: docs/sql.md.

    node: feed ──frames──► worker (a process of its own: rows, writer) ──COPY──► server
               ◄──lines───

The node hands over stored bytes, undecoded; all that costs is done in the other process. `dchat database sql` runs
rows and writer in its own.
"""

__all__ = ["connection", "errors", "feed", "fill", "on_node", "rows", "stored", "writer"]
