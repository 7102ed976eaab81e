"""What every kind of message is made of: its row, and what several of them say alike."""

from chain.tx.messages.kinds.kind import (
    BRIDGE,
    CHAT,
    CURRENCY,
    DEVICE_ROLE_NAMES,
    LANE_BRIDGE,
    LANE_CHAT,
    LANE_CURRENCY,
    LANE_NAMES,
    ROLE_ADMIN,
    ROLE_MODERATE,
    ROLE_POST,
    ROLE_ROOT,
    TOUCHED_IDENTITY,
    Kind,
    encode_as,
)

__all__ = [
    "BRIDGE",
    "CHAT",
    "CURRENCY",
    "DEVICE_ROLE_NAMES",
    "LANE_BRIDGE",
    "LANE_CHAT",
    "LANE_CURRENCY",
    "LANE_NAMES",
    "ROLE_ADMIN",
    "ROLE_MODERATE",
    "ROLE_POST",
    "ROLE_ROOT",
    "TOUCHED_IDENTITY",
    "Kind",
    "encode_as",
    "fields",
]
