"""The light client's rules: what makes a later header as good as an earlier one.

Pure. A trusted light block (header, commit, set) vouches for another one: the next height by its next validators'
hash, a further one when more than a third of the trusted set signed it; and always when more than 2/3 of its own
set did. Trust begins with a header's hash that a person gives, or with the genesis' validator set.
No trusting period is enforced here: who gives the root of trust says by it that it still holds.
Source: CometBFT v0.38, spec/light-client/verification, light/verifier.go.
"""

from __future__ import annotations

from consensus.formats.errors import InvalidLightBlock, NotEnoughPower
from consensus.formats.units import NS_PER_S
from consensus.types.commits import TRUST_LEVEL_DEFAULT, verify_commit_light, verify_commit_light_trusting
from consensus.types.light import LightBlock
from consensus.types.validators import ValidatorSet

CLOCK_DRIFT_NS = 10 * NS_PER_S  # a header may be this far ahead of our clock


class CannotSkip(InvalidLightBlock):
    """Too few of the trusted set signed the header: one between the two must be verified first."""


def verify_root(
    block: LightBlock, *, chain_id: str, expected_hash: bytes | None = None, expected_set: ValidatorSet | None = None
) -> None:
    """Make a light block the root of trust: its hash is the one given, or its set is (the genesis').

    Raises InvalidLightBlock, InvalidCommit.
    """
    assert (expected_hash is None) != (expected_set is None)
    block.validate(chain_id)
    if expected_hash is not None and block.hash != expected_hash:
        raise InvalidLightBlock(f"header {block.height} hashes to {block.hash.hex()}, trusted is {expected_hash.hex()}")
    if expected_set is not None and block.validators.hash != expected_set.hash:
        raise InvalidLightBlock(
            f"header {block.height}: its set hashes to {block.validators.hash.hex()}, "
            f"the genesis' to {expected_set.hash.hex()}"
        )
    _verify_own(block, chain_id)


def verify_step(
    trusted: LightBlock,
    block: LightBlock,
    *,
    chain_id: str,
    now_ns: int,
    trust_level: tuple[int, int] = TRUST_LEVEL_DEFAULT,
) -> None:
    """Check that `block` follows from `trusted`, which is below it.

    Raises CannotSkip (go by a header between), InvalidLightBlock, InvalidCommit.
    """
    block.validate(chain_id)
    if block.height <= trusted.height:
        raise InvalidLightBlock(f"header {block.height} is not above the trusted {trusted.height}")
    if block.header.time_ns <= trusted.header.time_ns:
        raise InvalidLightBlock(f"header {block.height} is not later than the trusted {trusted.height}")
    if block.header.time_ns >= now_ns + CLOCK_DRIFT_NS:
        raise InvalidLightBlock(f"header {block.height} is from the future: {block.header.time_ns} ns, now {now_ns}")
    if block.height == trusted.height + 1:
        if block.header.validators_hash != trusted.header.next_validators_hash:
            raise InvalidLightBlock(
                f"header {block.height}: its set hashes to {block.header.validators_hash.hex()}, the header before "
                f"says {trusted.header.next_validators_hash.hex()}"
            )
    else:
        try:
            verify_commit_light_trusting(chain_id, trusted.validators, block.commit, trust_level=trust_level)
        except NotEnoughPower as error:
            raise CannotSkip(f"header {block.height} from {trusted.height}: {error}") from error
    _verify_own(block, chain_id)


def verify_back(trusted: LightBlock, block: LightBlock, *, chain_id: str) -> None:
    """Check that `block`, right below `trusted`, is the one that it names as the last. Raises InvalidLightBlock."""
    block.validate(chain_id)
    if block.height != trusted.height - 1:
        raise InvalidLightBlock(f"header {block.height} is not right below the trusted {trusted.height}")
    if trusted.header.last_block_id.hash != block.hash:
        raise InvalidLightBlock(
            f"header {block.height} hashes to {block.hash.hex()}, header {trusted.height} says "
            f"{trusted.header.last_block_id.hash.hex()}"
        )


def _verify_own(block: LightBlock, chain_id: str) -> None:
    verify_commit_light(chain_id, block.validators, block.commit, block_id=block.commit.block_id, height=block.height)
