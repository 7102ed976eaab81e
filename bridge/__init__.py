"""The atomic module: the only code that knows both machines."""
