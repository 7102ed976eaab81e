"""What the application refuses beside transactions (chain/tx/errors.py has those). One root."""

from __future__ import annotations


class AppError(Exception):
    """The application does not do what was asked of it."""


class GenesisDiffers(AppError):
    """init_chain over a state that has blocks already."""


class Abandoned(AppError):
    """Nobody wants the answer any more."""
