"""The errors of the light client: what was wrong, where, what is allowed, and whose word it was.

One tree. Under `ProviderFailed` stands what befell one provider: another may be asked; all else ends what was asked.
A header that breaks a rule by itself raises the formats' `InvalidData`, until `NotVerified` says whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.types.evidence import LightClientAttackEvidence


class LightError(Exception):
    """The light client cannot say what was asked for."""


class InvalidOptions(LightError):
    """A trust level, period, root or place that cannot be."""


class CannotSkip(LightError):
    """Too few of the trusted set signed the header: one between the two must be verified first."""


class TrustExpired(LightError):
    """The nearest trusted header is older than the trusting period: its signers may have nothing at stake any more."""

    def __init__(self, height: int, *, time_ns: int, period_ns: int, now_ns: int) -> None:
        super().__init__(
            f"the trusted header {height} is of {format_rfc3339(time_ns)}, {(now_ns - time_ns) // NS_PER_S} s ago; "
            f"allowed: the trusting period of {period_ns // NS_PER_S} s. Give a newer header to begin with; or is this "
            f"machine's clock ahead? It says {format_rfc3339(now_ns)}"
        )
        self.height = height


class NotVerified(LightError):
    """A provider's header does not follow from what is trusted."""

    def __init__(self, height: int, provider: str, why: object) -> None:
        super().__init__(f"{provider}: {why}")
        self.height, self.provider = height, provider


class RootDisputed(LightError):
    """A witness has another header at the height where trust begins, or the store's root is another one."""


class NoWitness(LightError):
    """Every witness was dropped, or none could confirm the header: nothing is left to compare the primary with."""


class PrioritiesDiffer(LightError):
    """A witness has the same header and other proposer priorities, which no hash covers: one of the two lies."""


class TrustStoreDamaged(LightError):
    """A file of the light store is not what was written."""


class AttackDetected(LightError):
    """Two headers of one height, each signed by enough: somebody attacks. Nothing was kept of what was verified.

    evidence: against the primary, then, where it could be shown, against the witness. handed: to whom it was given.
    """

    def __init__(
        self,
        *,
        height: int,
        common_height: int,
        primary: str,
        witness: str,
        evidence: Sequence[LightClientAttackEvidence],
        handed: Sequence[str],
    ) -> None:
        accused = sorted({address.hex().upper() for item in evidence for address in item.accused})
        who = f"proved against {', '.join(accused)}" if accused else "whose fault it is cannot be proved (amnesia)"
        told = f"evidence handed to {', '.join(handed)}" if handed else "no evidence could be handed in"
        super().__init__(
            f"an attack: header {height} of {primary} and of {witness} differ, both are signed by enough, and the last "
            f"that they share is {common_height}; {who}; {told}. Ask people whom you trust which chain is theirs"
        )
        self.height, self.common_height, self.primary, self.witness = height, common_height, primary, witness
        self.evidence, self.handed = tuple(evidence), tuple(handed)


class ProviderFailed(LightError):
    """One provider could not be used."""

    def __init__(self, provider: str, why: object) -> None:
        super().__init__(f"{provider}: {why}")
        self.provider = provider


class NoAnswer(ProviderFailed):
    """It could not be reached, or said nothing in time."""


class NoBlock(ProviderFailed):
    """It does not have the height: pruned, or never there."""


class HeightTooHigh(NoBlock):
    """It has not got so far."""


class BadAnswer(ProviderFailed):
    """What it said is no light block of the chain and the height, or more than is read: no honest node says that."""
