"""The HTTP door: status, peers, blocks, health, as JSON."""
