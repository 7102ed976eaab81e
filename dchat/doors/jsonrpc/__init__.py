"""The JSON-RPC door: CometBFT v0.38's calls by POST, by URI and over WebSocket, from the reads that all doors share."""

__all__ = ["chain_calls", "door", "events", "hub", "node_calls", "table", "tx_calls", "websocket"]
