"""The atomic module: the only machine that knows both."""
