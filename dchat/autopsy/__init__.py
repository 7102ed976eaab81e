"""What a node did in a block, for who looks for a difference: remembered, saved, executed again; and who differs."""

__all__ = ["again", "answers", "compare", "errors", "files", "form", "own", "search", "stored", "words"]
