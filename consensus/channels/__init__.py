"""What nodes say to each other: the messages of the stock channels, and our own nodes' channel 0x70."""

__all__ = ["extension", "peer_messages", "state_sync_messages"]
