"""How others see a node: the reads that all doors share, gRPC, HTTP, metrics."""

__all__ = ["grpc", "http", "metrics", "reads"]
