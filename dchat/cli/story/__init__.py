"""The demo's story: what people of a chat and payment network do, each act told in a line."""

__all__ = ["stage", "telling"]
