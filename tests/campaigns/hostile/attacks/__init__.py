"""Every attack, registered when this package is imported."""

from tests.campaigns.hostile.attacks import contents, control, doors, evidence, handshakes, packets, stake, transactions

__all__ = ["contents", "control", "doors", "evidence", "handshakes", "packets", "stake", "transactions"]
