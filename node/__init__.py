"""What makes it a process: configuration, wiring, doors, metrics."""
