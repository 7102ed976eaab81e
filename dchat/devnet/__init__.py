"""Networks on one machine: their files, their processes, and measuring what they do with a load."""

__all__ = ["leases", "live", "load", "network", "ports", "processes", "stages"]
