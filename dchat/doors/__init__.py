"""How others see a node: the reads that all doors share, gRPC, HTTP, JSON-RPC, metrics."""

__all__ = ["admin", "certificates", "evidence_desk", "grpc", "http", "jsonrpc", "kept", "metrics", "reads"]
