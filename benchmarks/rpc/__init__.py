"""CometBFT's JSON-RPC under load: its clients, hostile ones among them, and searches over a long past."""

__all__: list[str] = []
