"""What every command shares: options, exit codes, plain errors, tables, where trust begins."""

__all__ = ["ask", "base", "drafts", "later", "named", "outcome", "own_key", "render", "sums", "times", "trust"]
