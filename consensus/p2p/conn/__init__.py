"""One connection: addresses, keys, the secret connection, packets, and the budget of who is at the other end."""

__all__ = [
    "address",
    "base",
    "budget",
    "connection",
    "errors",
    "link",
    "node_info",
    "node_key",
    "packets",
    "peer",
    "secret_connection",
    "sockets",
]
