"""Keys that change: by several people, one after another and without a node; a validator's next one."""

__all__ = ["next_key_command"]
