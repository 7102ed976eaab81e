"""Why something of a vesting is refused: codespace "vesting" of the one tree, chain.tx.errors."""

from __future__ import annotations

from chain.tx.errors import TxError


class VestingError(TxError):
    codespace = "vesting"


class NoVesting(VestingError):
    code, rule = 250, "the vesting exists"


class VestingExists(VestingError):
    code, rule = 251, "a funder's vestings for a recipient have different numbers"


class NothingVested(VestingError):
    code, rule = 252, "what is claimed has vested, and was not paid"


class NoClawback(VestingError):
    code, rule = 253, "what has not vested is taken back where the vesting says so from its beginning"


class VestingTooFar(VestingError):
    code, rule = 254, "a vesting begins within ten years"
