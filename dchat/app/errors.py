"""What the application refuses beside transactions (chain/tx/errors.py has those). One root."""

from __future__ import annotations

from typing import Final

NO_CHANNEL: Final = "there is no channel {} after block {}; dchat query channels lists all"  # id, height


class AppError(Exception):
    """The application does not do what was asked of it."""


class GenesisDiffers(AppError):
    """init_chain over a state that has blocks already."""


class NoChannel(AppError):
    """A list of what a channel has, of a channel that there is not."""


class Abandoned(AppError):
    """Nobody wants the answer any more."""
