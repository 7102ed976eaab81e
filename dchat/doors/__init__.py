"""How others see a node: the reads that all doors share, gRPC, HTTP, metrics."""

__all__ = ["evidence_desk", "grpc", "http", "metrics", "reads"]
