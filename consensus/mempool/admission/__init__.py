"""What comes before the pool: whose a transaction is, whose turn, what it may take, whether it is signed."""

__all__ = [
    "entry",
    "errors",
    "gather",
    "index",
    "intake",
    "interfaces",
    "limits",
    "pace",
    "shares",
    "signatures",
    "standing",
]
