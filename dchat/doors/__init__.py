"""How others see a node: the reads that all doors share, gRPC, HTTP, metrics."""
