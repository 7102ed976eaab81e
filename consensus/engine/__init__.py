"""What drives the core: WAL, signer, timers, gossip, block execution, stores."""
