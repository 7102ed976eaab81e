"""Small models of the economics that do everything at once, block by block: what the machine does lazily must agree.

- `Misses`: a row of what each validator did, a plain list, judged in full at every block.
- `Ledger`: each block's rewards given to each delegation at once, by shares, in numbers of thirty places.
- `Ballots`: a proposal's votes counted in one go over the state at the end of its voting, in fractions.

They share nothing with the machine but its records, which they read. Source: staking sheet, sections 2, 3 and 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

from chain.chat import ballots as chat
from chain.chat.ballots import DECIDED, PROPOSAL, REJECTED, TALLYING, Proposal
from chain.currency.ledger import economic_params as params
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, SlashingParams
from chain.currency.ledger.records import SUPPLY
from chain.currency.ledger.stake_records import (
    BONDED,
    CONSENSUS_KEY,
    DELEGATION,
    MINTER,
    ROTATIONS,
    UNBONDED,
    VALIDATOR,
    Delegation,
    Validator,
)
from chain.currency.rewards import distribution
from chain.currency.staking.signing import info_of
from chain.tx.messages.governance import ABSTAIN, NO, NO_WITH_VETO, YES
from consensus.abci.interface import BlockRequest, VoteInfo
from crypto.hash import ADDRESS_BYTES as SIZE
from dchat.app.app import DchatApplication

ABSENT = 1


class Differs(AssertionError):
    """The machine says one thing, the model another."""


class Snapshot(NamedTuple):
    """What the models need of a state, read whole."""

    validators: dict[bytes, Validator]  # by operator
    delegations: dict[tuple[bytes, bytes], Delegation]  # (delegator, operator)
    collected_fees: int
    minted: int
    proposer: bytes
    slashing: SlashingParams
    distribution: DistributionParams
    former: dict[bytes, bytes]  # consensus address of a key that was given up -> operator

    @staticmethod
    def of(app: DchatApplication) -> Snapshot:
        base = app.base
        pulse = distribution.pulse_of(base)
        return Snapshot(
            {key[len(VALIDATOR) :]: found for key, found in base.scan(VALIDATOR)},
            {(key[len(DELEGATION) : -SIZE], key[-SIZE:]): found for key, found in base.scan(DELEGATION)},
            base.get(SUPPLY).collected_fees, base.get(MINTER).minted + pulse.minted, pulse.proposer,
            base.get(params.SLASHING), base.get(params.DISTRIBUTION),
            {one.address: key[len(ROTATIONS) :] for key, found in base.scan(ROTATIONS) for one in found.entries},
        )  # fmt: skip

    def by_address(self, address: bytes) -> Validator | None:
        for validator in self.validators.values():
            if validator.address == address:
                return validator
        return self.validators.get(self.former[address]) if address in self.former else None


# ------------------------------------------------------------------------------ liveness


class Misses:
    """rows: consensus address -> what it did in each commit since it was last punished, oldest first."""

    def __init__(self) -> None:
        self.rows: dict[bytes, list[bool]] = {}
        self.jailed: list[tuple[int, bytes]] = []

    def begin_block(self, before: Snapshot, votes: Iterable[VoteInfo], height: int, starts: dict[bytes, int]) -> None:
        """Who must be jailed at this height. starts: address -> start height of its signing info."""
        self.jailed = []
        window = before.slashing.missed_blocks_window
        allowed = window - round(Fraction(before.slashing.min_signed_per_window, ONE) * window)
        for vote in votes:
            validator = before.by_address(vote.address)
            if validator is None or validator.jailed:
                continue
            row = self.rows.setdefault(validator.address, [])
            row.append(vote.block_id_flag == ABSENT)
            full = height > starts[validator.address] + window
            if full and sum(row[-window:]) > allowed and validator.status != UNBONDED:
                row.clear()
                self.jailed.append((height, validator.address))

    def follow(self, before: Snapshot, after: Snapshot) -> None:
        """What a validator did is its own, by whatever key."""
        for address, operator in after.former.items():
            if address not in before.former and address in self.rows:
                self.rows[after.validators[operator].address] = self.rows.pop(address)

    def compare(self, app: DchatApplication, after: Snapshot, height: int) -> None:
        """Each counter, and who was jailed. Raises Differs."""
        window = after.slashing.missed_blocks_window
        for address, row in self.rows.items():
            info = info_of(app.base, address)
            assert info is not None
            at = info.offset_at(height) if info.counted_since and info.counted_since <= height else info.offset - 1
            found = info.missed(at, window) if at >= 0 else 0
            if found != sum(row[-window:]):
                raise Differs(f"height {height}: {address.hex()} missed {sum(row[-window:])}, the machine says {found}")
        for _, address in self.jailed:
            validator = after.by_address(address)
            if validator is not None and not validator.jailed:
                raise Differs(f"height {height}: {address.hex()} should have been jailed")


# ------------------------------------------------------------------------------ rewards

FINE = 10**30  # parts of a udchat
# When another leaves, the fraction of a udchat that stays behind is the others', but earns from their next start on;
# and each cut of 10^-18 of a ratio counts as often as it has udchat. The stake that earns is cut after a slash, by less
# than a udchat: much of what is left of a validator that still has a full one's power for two blocks.
SLACK = FINE


class Ledger:
    """owed: (delegator, operator) -> what it earned since its rewards last began, in 10^-30 udchat."""

    def __init__(self) -> None:
        self.owed: dict[tuple[bytes, bytes], int] = {}
        self.given = 0  # udchat, all blocks together

    def begin_block(self, before: Snapshot, votes: Sequence[VoteInfo], minted: int) -> None:
        """Share out the fees of the block before `minted` and it."""
        if not votes:
            return
        p = before.distribution
        fees = before.collected_fees - before.collected_fees * p.fee_burn // ONE + minted
        total = sum(vote.power for vote in votes)
        signed = sum(vote.power for vote in votes if vote.block_id_flag != ABSENT)
        share = Fraction(p.base_proposer_reward, ONE) + Fraction(p.bonus_proposer_reward, ONE) * Fraction(signed, total)
        for vote in votes:
            validator = before.by_address(vote.address)
            if validator is None or not validator.tokens:
                continue  # of one without tokens, the community pool's
            part = (1 - share - Fraction(p.community_tax, ONE)) * vote.power / total
            if validator.address == before.proposer:
                part += share
            reward = fees * part * (1 - Fraction(validator.rate, ONE))
            self._give(before, validator, int(reward * FINE))
        self.given += fees

    def _give(self, before: Snapshot, validator: Validator, reward: int) -> None:
        for key, delegation in before.delegations.items():
            if key[1] == validator.operator:
                self.owed[key] = self.owed.get(key, 0) + reward * delegation.shares // validator.shares

    def compare(self, app: DchatApplication, before: Snapshot, after: Snapshot, height: int) -> None:
        """Each delegation's rewards. Raises Differs."""
        for key in [key for key in self.owed if key not in after.delegations]:
            del self.owed[key]
        for key, delegation in after.delegations.items():
            old = before.delegations.get(key)
            if old is None or (old.start_height, old.previous_period) != (
                delegation.start_height, delegation.previous_period,
            ):  # fmt: skip
                self.owed[key] = 0
            expected = self.owed.setdefault(key, 0)
            found = distribution.earned(app.base, after.validators[key[1]], delegation) * (FINE // ONE)
            slack = SLACK + expected // 10**6 + expected * ONE // max(ONE, delegation.stake)
            if not -slack <= found - expected <= slack:
                raise Differs(
                    f"height {height}: {key[0].hex()} earned {Fraction(expected, FINE)} at {key[1].hex()}, "
                    f"the machine says {Fraction(found, FINE)}"
                )


# ------------------------------------------------------------------------------ votes


class Counted(NamedTuple):
    sums: dict[int, Fraction]
    bonded: int
    votes: int


def count(app: DchatApplication, state: Snapshot, proposal: Proposal) -> Counted:
    """All votes of a proposal over one state."""
    prefix = chat.votes_prefix(proposal.id, proposal.ballot)
    votes = {key[len(prefix) :]: cast.options for key, cast in app.base.scan(prefix)}
    sums = dict.fromkeys((YES, ABSTAIN, NO, NO_WITH_VETO), Fraction(0))
    for operator, validator in state.validators.items():
        if validator.status != BONDED:
            continue
        left = Fraction(validator.shares)
        for (delegator, of), delegation in state.delegations.items():
            if of == operator and delegator in votes:
                left -= delegation.shares
                _add(sums, votes[delegator], Fraction(delegation.shares * validator.tokens, validator.shares))
        if operator in votes and validator.shares:  # the last one of a set stays though all its stake left
            _add(sums, votes[operator], left * validator.tokens / validator.shares)
    bonded = sum(v.tokens for v in state.validators.values() if v.status == BONDED)
    return Counted(sums, bonded, len(votes))


DUST: Final = Fraction(1, 10**6)  # udchat: of some votes, each a Dec that was cut


def _add(sums: dict[int, Fraction], options: Any, power: Fraction) -> None:
    for option, weight in options:
        sums[option] += power * Fraction(weight, ONE)


class Ballots:
    """counted: (proposal, ballot) -> what the model counted when its voting ended."""

    def __init__(self) -> None:
        self.counted: dict[tuple[int, int], Counted] = {}
        self.decided: dict[int, int] = {}  # proposal -> status
        self._waiting: dict[int, int] = {}  # proposal -> ballot

    def end_block(self, app: DchatApplication, after: Snapshot, height: int) -> None:
        for _, proposal in app.base.scan(PROPOSAL):
            key = (proposal.id, proposal.ballot)
            if proposal.status == TALLYING and key not in self.counted:
                self.counted[key] = count(app, after, proposal)
            if proposal.status in DECIDED and proposal.id not in self.decided:
                self.decided[proposal.id] = proposal.status
                self._compare(proposal, self.counted[key], height)

    def _compare(self, proposal: Proposal, model: Counted, height: int) -> None:
        result = proposal.result
        assert result is not None
        found = dict(zip((YES, ABSTAIN, NO, NO_WITH_VETO), result[:4], strict=True))
        for option, expected in model.sums.items():
            if abs(found[option] - expected) > 1 + DUST:  # cut to whole udchat, once each Dec of it was cut
                raise Differs(f"height {height}: proposal {proposal.id} has {found}, counted {model}")
        if (result.bonded, result.votes) != (model.bonded, model.votes):
            raise Differs(f"height {height}: proposal {proposal.id} has {result}, counted {model}")
        cast = sum(model.sums.values())
        decisive = cast - model.sums[ABSTAIN]
        margin = Fraction(model.sums[YES], 1) / decisive - Fraction(1, 2) if decisive else Fraction(-1)
        if margin < 0 and proposal.status != REJECTED:
            raise Differs(f"height {height}: proposal {proposal.id} is in status {proposal.status}, counted {model}")


class Shadow:
    """All models beside one application."""

    def __init__(self, app: DchatApplication) -> None:
        self._app = app
        self._before = Snapshot.of(app)
        self.misses, self.ledger, self.ballots = Misses(), Ledger(), Ballots()
        self._starts = self._start_heights()

    def _start_heights(self) -> dict[bytes, int]:
        found = {}
        for key, _ in self._app.base.scan(CONSENSUS_KEY):
            info = info_of(self._app.base, key[len(CONSENSUS_KEY) :])
            if info is not None:
                found[key[len(CONSENSUS_KEY) :]] = info.start_height
        return found

    def block(self, request: BlockRequest) -> None:
        """After the block was committed. Raises Differs."""
        before, after = self._before, Snapshot.of(self._app)
        votes = request.last_commit.votes
        self.misses.begin_block(before, votes, request.height, self._starts)
        self.misses.follow(before, after)
        self.misses.compare(self._app, after, request.height)
        self.ledger.begin_block(before, votes, after.minted - before.minted)
        self.ledger.compare(self._app, before, after, request.height)
        self.ballots.end_block(self._app, after, request.height)
        self._before, self._starts = after, self._start_heights()


__all__ = ["Differs", "Shadow", "Snapshot"]
