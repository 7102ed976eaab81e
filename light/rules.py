"""The light client's rules: what makes a later header as good as an earlier one.

Pure. A trusted light block (header, commit, set) vouches for another one: the next height by its next validators'
hash, a further one when more than the trust level (a third) of the trusted set signed it; and always when more than 2/3
of its own set did. Trust begins with a header's hash that a person gives, or with the genesis' validator set, and ends
with the trusting period, within which whoever signed can still lose what is at stake.
Source: CometBFT v0.38, spec/light-client/verification, light/verifier.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consensus.formats.errors import InvalidLightBlock, NotEnoughPower
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.types.commits import TRUST_LEVEL_DEFAULT, Verifier, verify_commit_light, verify_commit_light_trusting
from consensus.types.light import LightBlock
from consensus.types.validators import ValidatorSet
from crypto.batch import verify_many
from crypto.hash import HASH_BYTES
from light.errors import CannotSkip, InvalidOptions, TrustExpired

CLOCK_DRIFT_NS: Final = 10 * NS_PER_S  # a header may be this far ahead of our clock
BLOCK_LAG_NS: Final = 10 * NS_PER_S  # a witness may be this far behind the primary
BACK_MAX: Final = 1_000  # headers walked backwards at most; give an earlier root instead


@dataclass(frozen=True, slots=True)
class Options:
    """How a light client judges. trusting_period_ns None: trust does not end; who gives the root says that it holds.

    sequential: every header, instead of as few as the sets allow. Raises InvalidOptions.
    """

    trust_level: tuple[int, int] = TRUST_LEVEL_DEFAULT
    trusting_period_ns: int | None = None
    clock_drift_ns: int = CLOCK_DRIFT_NS
    block_lag_ns: int = BLOCK_LAG_NS
    sequential: bool = False

    def __post_init__(self) -> None:
        numerator, denominator = self.trust_level
        if not (0 < denominator <= 3 * numerator and numerator <= denominator):
            raise InvalidOptions(f"trust level is {numerator}/{denominator}; allowed: 1/3 to 1")
        if self.trusting_period_ns is not None and self.trusting_period_ns <= 0:
            raise InvalidOptions(f"trusting period is {self.trusting_period_ns} ns; allowed: above 0")
        if self.clock_drift_ns < 0 or self.block_lag_ns < 0:
            raise InvalidOptions("clock drift and block lag: allowed: 0 and more")


@dataclass(frozen=True, slots=True)
class Root:
    """Where trust begins: the header of `height` has this hash, or this set signs it (the genesis')."""

    height: int
    hash: bytes | None = None
    validators: ValidatorSet | None = None

    def __post_init__(self) -> None:
        if self.height <= 0:
            raise InvalidOptions(f"trust begins at height {self.height}; allowed: 1 and more")
        if (self.hash is None) == (self.validators is None):
            raise InvalidOptions("trust begins with a header's hash, or with a validator set: one of them")
        if self.hash is not None and len(self.hash) != HASH_BYTES:
            raise InvalidOptions(f"the trusted hash has {len(self.hash)} bytes; expected {HASH_BYTES}")

    def is_of(self, block: LightBlock) -> bool:
        """Whether trust can begin with this block. Its signatures are not looked at."""
        if block.height != self.height:
            return False
        if self.hash is not None:
            return block.hash == self.hash
        assert self.validators is not None
        return block.validators.hash == self.validators.hash


def verify_root(block: LightBlock, root: Root, *, chain_id: str, verifier: Verifier = verify_many) -> None:
    """Make a light block the root of trust. Raises InvalidLightBlock, InvalidCommit."""
    block.validate(chain_id)
    if block.height != root.height:
        raise InvalidLightBlock(f"trust begins with header {root.height}, this is {block.height}")
    if root.hash is not None and block.hash != root.hash:
        raise InvalidLightBlock(f"header {block.height} hashes to {block.hash.hex()}, trusted is {root.hash.hex()}")
    if root.validators is not None and block.validators.hash != root.validators.hash:
        raise InvalidLightBlock(
            f"header {block.height}: its set hashes to {block.validators.hash.hex()}, "
            f"the genesis' to {root.validators.hash.hex()}"
        )
    _verify_own(block, chain_id, verifier)


def is_expired(trusted: LightBlock, options: Options, now_ns: int) -> bool:
    period_ns = options.trusting_period_ns
    return period_ns is not None and trusted.header.time_ns + period_ns <= now_ns


def check_live(trusted: LightBlock, options: Options, now_ns: int) -> None:
    """Raises TrustExpired."""
    if is_expired(trusted, options, now_ns):
        period_ns = options.trusting_period_ns or 0
        raise TrustExpired(trusted.height, time_ns=trusted.header.time_ns, period_ns=period_ns, now_ns=now_ns)


def verify_step(
    trusted: LightBlock,
    block: LightBlock,
    *,
    chain_id: str,
    now_ns: int,
    options: Options,
    verifier: Verifier = verify_many,
) -> None:
    """Check that `block` follows from `trusted`, which is below it.

    Raises TrustExpired, CannotSkip (go by a header between), InvalidLightBlock, InvalidCommit.
    """
    check_live(trusted, options, now_ns)
    block.validate(chain_id)
    if block.height <= trusted.height:
        raise InvalidLightBlock(f"header {block.height} is not above the trusted {trusted.height}")
    if block.header.time_ns <= trusted.header.time_ns:
        raise InvalidLightBlock(f"header {block.height} is not later than the trusted {trusted.height}")
    if block.header.time_ns >= now_ns + options.clock_drift_ns:
        raise InvalidLightBlock(
            f"header {block.height} is from the future: it is of {format_rfc3339(block.header.time_ns)}, and this "
            f"machine's clock says {format_rfc3339(now_ns)}; allowed: {options.clock_drift_ns // NS_PER_S} s ahead. "
            "Is that clock behind?"
        )
    if block.height == trusted.height + 1:
        if block.header.validators_hash != trusted.header.next_validators_hash:
            raise InvalidLightBlock(
                f"header {block.height}: its set hashes to {block.header.validators_hash.hex()}, the header before "
                f"says {trusted.header.next_validators_hash.hex()}"
            )
    else:
        try:
            verify_commit_light_trusting(
                chain_id, trusted.validators, block.commit, trust_level=options.trust_level, verifier=verifier
            )
        except NotEnoughPower as error:
            raise CannotSkip(f"header {block.height} from {trusted.height}: {error}") from error
    _verify_own(block, chain_id, verifier)


def verify_back(trusted: LightBlock, block: LightBlock, *, chain_id: str) -> None:
    """Check that `block`, right below `trusted`, is the one that it names as the last. Raises InvalidLightBlock."""
    block.validate(chain_id)
    if block.height != trusted.height - 1:
        raise InvalidLightBlock(f"header {block.height} is not right below the trusted {trusted.height}")
    if block.header.time_ns >= trusted.header.time_ns:
        raise InvalidLightBlock(f"header {block.height} is not earlier than the trusted {trusted.height}")
    if trusted.header.last_block_id.hash != block.hash:
        raise InvalidLightBlock(
            f"header {block.height} hashes to {block.hash.hex()}, header {trusted.height} says "
            f"{trusted.header.last_block_id.hash.hex()}"
        )


def _verify_own(block: LightBlock, chain_id: str, verifier: Verifier) -> None:
    verify_commit_light(
        chain_id,
        block.validators,
        block.commit,
        block_id=block.commit.block_id,
        height=block.height,
        verifier=verifier,
    )


def pivot_between(low: int, high: int) -> int:
    """Which header is asked for where `high` is too far from `low`: nearer to `high`, so that what was fetched helps.

    Source: CometBFT v0.38, light/client.go (verifySkippingNumerator, verifySkippingDenominator).
    """
    assert high - low >= 2, (low, high)
    return low + (high - low) * 9 // 16
