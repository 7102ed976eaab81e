"""Keeping what a node has on disk: looking through its files, copying them, bringing copies back."""

__all__ = [
    "archive",
    "backup",
    "copies",
    "errors",
    "examined",
    "going_back",
    "locks",
    "reindex",
    "replay",
    "scrub",
    "sign_record",
    "verify",
]
