"""The application: transactions, the kernel, authenticated stores, the two machines, upgrades."""

__all__ = ["app_state", "chat", "currency", "kernel", "state", "tx", "upgrade"]
