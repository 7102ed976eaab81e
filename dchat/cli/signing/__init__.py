"""Signing by several people, one after another and without a node: drafts of transactions, and keys that change."""
