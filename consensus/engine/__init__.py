"""The running height: what drives the core and carries its effects out."""

__all__ = ["driver", "interfaces", "round_state", "skew"]
