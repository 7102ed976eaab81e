"""Verification of commits, and the block time derived from what was verified.

Every check binds a slot to the validator of that index (or, for a trusted set, of that address), so the signers
whose power counts and whose timestamps make the median are the ones whose signatures were checked.
Source: CometBFT v0.38, types/validation.go; spec/consensus/bft-time.md for the median.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from consensus.core.votes import two_thirds
from consensus.formats.errors import (
    BadSignature,
    InvalidCommit,
    InvalidVote,
    NotEnoughPower,
    WrongBlockId,
    WrongHeight,
    WrongSetSize,
    WrongSigner,
)
from consensus.types.commit import (
    ABSENT_SIG,
    FLAG_COMMIT,
    FLAG_NIL,
    Commit,
    CommitSig,
    ExtendedCommit,
    ExtendedCommitSig,
)
from consensus.types.ids import BlockID
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto.batch import Check, verify_many
from crypto.keys import ED25519, PubKey, signature_bytes

Verifier: TypeAlias = Callable[[Sequence[Check]], list[bool]]  # e.g. SignatureCache().verify_many

TRUST_LEVEL_DEFAULT = (1, 3)


def verify_commit(
    chain_id: str,
    validators: ValidatorSet,
    commit: Commit,
    *,
    block_id: BlockID,
    height: int,
    verifier: Verifier = verify_many,
) -> int:
    """Return the voting power in `validators` that signed for `block_id`; it is above 2/3 of the total.

    Checks every signature, nil votes' too: rewards and the block time depend on who signed and when.
    Raises: WrongSetSize, WrongHeight, WrongBlockId, WrongSigner, BadSignature, NotEnoughPower, InvalidCommit.
    """
    _check_subject(validators, commit, block_id, height)
    indices = [index for index, slot in enumerate(commit.signatures) if not slot.is_absent]
    power = sum(validators.powers[index] for index in indices if commit.signatures[index].is_commit)
    checks = _checks(chain_id, validators, commit, indices)
    _judge(commit, checks, power=power, needed=two_thirds(validators.total_power), verifier=verifier)
    return power


def verify_commit_light(
    chain_id: str,
    validators: ValidatorSet,
    commit: Commit,
    *,
    block_id: BlockID,
    height: int,
    all_signatures: bool = False,
    verifier: Verifier = verify_many,
) -> None:
    """Check that more than 2/3 of `validators` signed for `block_id`; stops at enough unless `all_signatures`.

    Only signatures for the block are looked at. Raises as `verify_commit`.
    """
    _check_subject(validators, commit, block_id, height)
    needed = two_thirds(validators.total_power)
    indices: list[int] = []
    power = 0
    for index, slot in enumerate(commit.signatures):
        if not slot.is_commit:
            continue
        if power > needed and not all_signatures:
            break
        indices.append(index)
        power += validators.powers[index]
    checks = _checks(chain_id, validators, commit, indices)
    _judge(commit, checks, power=power, needed=needed, verifier=verifier)


def verify_commit_light_trusting(
    chain_id: str,
    validators: ValidatorSet,
    commit: Commit,
    *,
    trust_level: tuple[int, int] = TRUST_LEVEL_DEFAULT,
    all_signatures: bool = False,
    verifier: Verifier = verify_many,
) -> None:
    """Check that more than `trust_level` of a trusted set signed; signers are found by address, strangers skipped.

    Raises: WrongSigner (an address twice), BadSignature, NotEnoughPower, InvalidCommit.
    """
    numerator, denominator = trust_level
    assert 0 < numerator <= denominator, trust_level
    needed = validators.total_power * numerator // denominator
    seen: set[bytes] = set()
    found: list[tuple[int, Check]] = []
    power = 0
    for index, slot in enumerate(commit.signatures):
        member = validators.index_of(slot.validator_address) if slot.is_commit else None
        if member is None:
            continue
        if power > needed and not all_signatures:
            break
        if slot.validator_address in seen:
            raise WrongSigner(f"commit {commit.height}: {slot.validator_address.hex()} signs twice")
        seen.add(slot.validator_address)
        found.append((index, (validators.pub_keys[member], commit.sign_bytes(chain_id, index), slot.signature)))
        power += validators.powers[member]
    _judge(commit, found, power=power, needed=needed, verifier=verifier)


def _check_subject(validators: ValidatorSet, commit: Commit, block_id: BlockID, height: int) -> None:
    if len(commit.signatures) != len(validators):
        raise WrongSetSize(expected=len(validators), got=len(commit.signatures))
    if commit.height != height:
        raise WrongHeight(expected=height, got=commit.height)
    if commit.block_id != block_id:
        raise WrongBlockId(f"commit {height} is for {commit.block_id}, expected {block_id}")


def _checks(chain_id: str, validators: ValidatorSet, commit: Commit, indices: Iterable[int]) -> list[tuple[int, Check]]:
    """The signatures of slots `indices`, each slot naming its validator. Raises WrongSigner, InvalidCommit."""
    checks: list[tuple[int, Check]] = []
    for index in indices:
        slot, key = commit.signatures[index], validators.pub_keys[index]
        if slot.validator_address != key.address:
            raise WrongSigner(
                f"commit {commit.height}: slot {index} names {slot.validator_address.hex()}, "
                f"expected {key.address.hex()}"
            )
        if slot.block_id_flag not in {FLAG_COMMIT, FLAG_NIL}:
            raise InvalidCommit(f"commit {commit.height}: slot {index} has flag {slot.block_id_flag}")
        checks.append((index, (key, commit.sign_bytes(chain_id, index), slot.signature)))
    return checks


def commit_checks(chain_id: str, validators: ValidatorSet, commit: Commit) -> list[Check]:
    """The signatures of a commit that have the length of their keys', if it is of these validators; else none. Says
    nothing of the commit."""
    if len(commit.signatures) != len(validators):
        return []
    indices = [index for index, slot in enumerate(commit.signatures) if not slot.is_absent]
    try:
        checks = _checks(chain_id, validators, commit, indices)
    except (WrongSigner, InvalidCommit):
        return []
    return [
        (key, message, signature) for _, (key, message, signature) in checks if len(signature) == signature_bytes(key)
    ]


def _judge(commit: Commit, checks: Sequence[tuple[int, Check]], *, power: int, needed: int, verifier: Verifier) -> None:
    """Raises NotEnoughPower or BadSignature; too little power is said first where CometBFT would batch."""
    batched = len(commit.signatures) >= 2 and all(key.type == ED25519 for _, (key, _, _) in checks)
    if batched and power <= needed:
        raise NotEnoughPower(got=power, needed=needed)
    for (index, (_, _, signature)), good in zip(checks, verifier([check for _, check in checks]), strict=True):
        if not good:
            raise BadSignature(index, signature)
    if power <= needed:
        raise NotEnoughPower(got=power, needed=needed)


def median_time(commit: Commit, validators: ValidatorSet) -> int:
    """BFT time of the block after `commit`, in nanoseconds: the signers' times, weighted by power.

    `validators` is the commit's own set, slot by slot, as in `verify_commit`: a slot that names anyone but its
    validator raises WrongSigner, so that only signatures that were checked can move the time.
    """
    if len(commit.signatures) != len(validators):
        raise WrongSetSize(expected=len(validators), got=len(commit.signatures))
    weighted: list[tuple[int, int]] = []
    for index, slot in enumerate(commit.signatures):
        if slot.is_absent:
            continue
        key = validators.pub_keys[index]
        if slot.validator_address != key.address:
            raise WrongSigner(f"commit {commit.height}: slot {index} names {slot.validator_address.hex()}")
        weighted.append((slot.timestamp_ns, validators.powers[index]))
    return weighted_median(weighted)


def rising_commit(commit: ExtendedCommit, validators: ValidatorSet, *, after_ns: int) -> ExtendedCommit:
    """`commit`, made to date the next block after `after_ns`, the time of its own block, where its votes allow.

    Who voted nil with a slow clock, and whoever lies about the time, can together hold the median at or before the
    block's own time: then no block could follow. A proposer may leave votes out, as long as +2/3 remain; correct
    votes for the block are dated after it. Left as it is where nothing helps.
    """
    if median_time(commit.commit(), validators) > after_ns:
        return commit
    slots, powers = list(commit.signatures), validators.powers
    spare = sum(power for slot, power in zip(slots, powers, strict=True) if slot.commit_sig.is_commit)
    spare -= two_thirds(validators.total_power) + 1
    early = [
        i for i, slot in enumerate(slots) if not slot.commit_sig.is_absent and slot.commit_sig.timestamp_ns <= after_ns
    ]
    for index in sorted(early, key=lambda i: (slots[i].commit_sig.is_commit, powers[i], i)):
        power = powers[index] if slots[index].commit_sig.is_commit else 0
        if power <= spare:
            spare -= power
            slots[index] = ExtendedCommitSig(ABSENT_SIG)
    rising = replace(commit, signatures=tuple(slots))
    return rising if median_time(rising.commit(), validators) > after_ns else commit


def weighted_median(weighted: Iterable[tuple[int, int]]) -> int:
    """Of (time, weight) pairs, in ascending time, the first that reaches half of all weight. Not of none."""
    ordered = sorted(weighted)
    assert ordered, "a commit that was verified has signers"
    rest = sum(weight for _, weight in ordered) // 2
    for time_ns, weight in ordered:
        if rest <= weight:
            return time_ns
        rest -= weight
    raise AssertionError("half of the weights is never above all of them")


def voter(vote: Vote, validators: ValidatorSet) -> PubKey:
    """The key that must have signed `vote`: its index is in the set and its address is that member's.

    Raises InvalidVote.
    """
    where = f"vote {vote.height}/{vote.round}"
    if not 0 <= vote.validator_index < len(validators):
        raise InvalidVote(f"{where}: validator_index is {vote.validator_index}; allowed: 0 to {len(validators) - 1}")
    key = validators.pub_keys[vote.validator_index]
    if vote.validator_address != key.address:
        raise InvalidVote(
            f"{where}: validator {vote.validator_index} is {key.address.hex()}, not {vote.validator_address.hex()}"
        )
    return key


def commit_from_votes(height: int, round: int, block_id: BlockID, votes: Sequence[Vote | None]) -> Commit:
    """The commit that a height's precommits make; votes: a slot per validator, in set order.

    A precommit for another block than `block_id` is put in as absent: its signature is not over this block.
    """
    return Commit(height, round, block_id, tuple(_slot(height, round, block_id, vote) for vote in votes))


def extended_commit_from_votes(
    height: int, round: int, block_id: BlockID, votes: Sequence[Vote | None]
) -> ExtendedCommit:
    """As `commit_from_votes`, with the votes' extensions."""
    slots = []
    for vote in votes:
        slot = _slot(height, round, block_id, vote)
        if vote is None or not slot.is_commit:
            slots.append(ExtendedCommitSig(slot))
        else:
            slots.append(vote.extended_commit_sig())
    return ExtendedCommit(height, round, block_id, tuple(slots))


def _slot(height: int, round: int, block_id: BlockID, vote: Vote | None) -> CommitSig:
    if vote is None:
        return ABSENT_SIG
    assert (vote.type, vote.height, vote.round) == (PRECOMMIT, height, round), vote
    return vote.commit_sig() if vote.is_nil or vote.block_id == block_id else ABSENT_SIG


def votes_from_commit(commit: Commit) -> list[Vote | None]:
    """The precommits that a commit stands for, a slot per validator: for a peer that is a height behind."""
    return [
        None
        if slot.is_absent
        else Vote(
            PRECOMMIT,
            commit.height,
            commit.round,
            commit.block_id_of(index),
            slot.timestamp_ns,
            slot.validator_address,
            index,
            slot.signature,
        )
        for index, slot in enumerate(commit.signatures)
    ]


def votes_from_extended_commit(commit: ExtendedCommit) -> list[Vote | None]:
    """As `votes_from_commit`, with the extensions."""
    return [
        vote and replace(vote, extension=slot.extension, extension_signature=slot.extension_signature)
        for vote, slot in zip(votes_from_commit(commit.commit()), commit.signatures, strict=True)
    ]
