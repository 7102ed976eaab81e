"""What is checked of a peer's message before the core hears of it: whose it is, and that it is signed.

Pure but for the application's judgement of vote extensions. A signature that verified is remembered, so that the
commit of the next block costs nothing to verify.
Source: CometBFT v0.38, consensus/state.go (defaultSetProposal), types/vote_set.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from consensus.abci.interface import Application, VerifyVoteExtensionRequest
from consensus.formats.errors import InvalidProposal, InvalidVote
from consensus.state.state import State
from consensus.stores.wal import PAYLOAD_BYTES_MAX
from consensus.types.parts import PARTS_MAX, parts_max
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Proposal, Vote
from crypto.batch import SignatureCache
from crypto.keys import SIGNATURE_BYTES, PubKey, signature_bytes

_BESIDE_EXTENSION_BYTES: Final = 1_024  # of a vote in the log: the small fields with two signatures of 64 bytes


class BadSignatureFromPeer(InvalidVote):
    """No honest peer passes on what does not verify."""


def extension_bytes_max(key: PubKey) -> int:
    """How many bytes a vote extension of this validator may have: the vote must fit into a record of the log."""
    return PAYLOAD_BYTES_MAX - _BESIDE_EXTENSION_BYTES - 2 * (signature_bytes(key) - SIGNATURE_BYTES)


def check_proposal(proposal: Proposal, state: State, signatures: SignatureCache) -> None:
    """By the round's proposer, and of a size that the parameters allow. Raises InvalidProposal.

    Validators of `state` are the running height's.
    """
    proposal.validate()
    total, allowed = proposal.block_id.part_set_header.total, parts_max(state.block_bytes_max)
    if total > allowed:
        raise InvalidProposal(f"proposal {proposal.height}/{proposal.round} is of {total} parts, at most {allowed}")
    proposer = state.validators.proposer_of(proposal.round)
    if len(proposal.signature) != signature_bytes(proposer.pub_key) or not signatures.verify(
        (proposer.pub_key, proposal.sign_bytes(state.chain_id), proposal.signature)
    ):
        raise InvalidProposal(
            f"proposal {proposal.height}/{proposal.round} is not signed by the proposer {proposer.address.hex()}"
        )


def check_vote(vote: Vote, validators: ValidatorSet, chain_id: str, signatures: SignatureCache) -> None:
    """By the validator whose index and address it names. Raises InvalidVote, BadSignatureFromPeer."""
    vote.validate()
    where = f"vote {vote.height}/{vote.round}"
    if vote.validator_index >= len(validators):
        raise InvalidVote(f"{where}: validator_index is {vote.validator_index}; there are {len(validators)}")
    if vote.block_id.part_set_header.total > PARTS_MAX:
        raise InvalidVote(f"{where}: for a block of {vote.block_id.part_set_header.total} parts, at most {PARTS_MAX}")
    key = validators.pub_keys[vote.validator_index]
    if vote.validator_address != key.address:
        raise InvalidVote(
            f"{where}: index {vote.validator_index} is {key.address.hex()}, it names {vote.validator_address.hex()}"
        )
    if len(vote.signature) != (size := signature_bytes(key)):
        raise BadSignatureFromPeer(
            f"{where}: its signature has {len(vote.signature)} bytes, those of {key.address.hex()} ({key.type}) {size}"
        )
    if not signatures.verify((key, vote.sign_bytes(chain_id), vote.signature)):
        raise BadSignatureFromPeer(f"{where}: not signed by {key.address.hex()}")


def verify_together(votes: Iterable[Vote], validators: ValidatorSet, chain_id: str, signatures: SignatureCache) -> None:
    """Remember which of them are signed by whom they name, in one batch. Nothing is judged: `check_vote` does that."""
    checks = []
    for vote in votes:
        index = vote.validator_index
        if not 0 <= index < len(validators):
            continue
        key = validators.pub_keys[index]
        if len(vote.signature) != signature_bytes(key):
            continue
        try:
            vote.validate()
        except InvalidVote:
            continue
        if vote.validator_address == key.address:
            checks.append((key, vote.sign_bytes(chain_id), vote.signature))
    if len(checks) > 1:
        signatures.verify_many(checks)


def check_extension(vote: Vote, validators: ValidatorSet, state: State, app: Application | None) -> None:
    """The vote's extension is as the parameters want, signed, and (with `app`) accepted. Raises InvalidVote."""
    enabled = state.params.abci.extensions_enabled(vote.height)
    vote.validate_extension_use(enabled=enabled)
    if not enabled or vote.type != PRECOMMIT or vote.is_nil:
        return
    where = f"vote {vote.height}/{vote.round} of {vote.validator_address.hex()}"
    key = validators.pub_keys[vote.validator_index]
    if len(vote.extension) > extension_bytes_max(key):
        raise InvalidVote(f"{where}: its extension has {len(vote.extension)} bytes; no log record holds it")
    if not vote.verify_extension(state.chain_id, key):
        raise BadSignatureFromPeer(f"{where}: its extension is not signed by it")
    if app is None:
        return
    request = VerifyVoteExtensionRequest(vote.block_id.hash, vote.validator_address, vote.height, vote.extension)
    if not app.verify_vote_extension(request):
        raise InvalidVote(f"{where}: the application refused its extension")
