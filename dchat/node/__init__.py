"""The process: wiring, start and stop, upgrades."""
