"""What stake earns: new money and fees, paid out by running ratios."""

__all__ = ["distribution", "mint"]
