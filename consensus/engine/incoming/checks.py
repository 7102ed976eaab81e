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
from crypto.keys import SIGNATURE_BYTES

# A vote must fit into a record of the log: the extension, and the small fields with two signatures.
EXTENSION_BYTES_LOGGED_MAX: Final = PAYLOAD_BYTES_MAX - 1_024


class BadSignatureFromPeer(InvalidVote):
    """No honest peer passes on what does not verify."""


def check_proposal(proposal: Proposal, state: State, signatures: SignatureCache) -> None:
    """By the round's proposer, and of a size that the parameters allow. Raises InvalidProposal.

    Validators of `state` are the running height's.
    """
    proposal.validate()
    total, allowed = proposal.block_id.part_set_header.total, parts_max(state.block_bytes_max)
    if total > allowed:
        raise InvalidProposal(f"proposal {proposal.height}/{proposal.round} is of {total} parts, at most {allowed}")
    proposer = state.validators.proposer_of(proposal.round)
    if not signatures.verify((proposer.pub_key, proposal.sign_bytes(state.chain_id), proposal.signature)):
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
    if not signatures.verify((key, vote.sign_bytes(chain_id), vote.signature)):
        raise BadSignatureFromPeer(f"{where}: not signed by {key.address.hex()}")


def verify_together(votes: Iterable[Vote], validators: ValidatorSet, chain_id: str, signatures: SignatureCache) -> None:
    """Remember which of them are signed by whom they name, in one batch. Nothing is judged: `check_vote` does that."""
    checks = []
    for vote in votes:
        index = vote.validator_index
        if not 0 <= index < len(validators) or len(vote.signature) != SIGNATURE_BYTES:
            continue
        key = validators.pub_keys[index]
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
    if len(vote.extension) > EXTENSION_BYTES_LOGGED_MAX:
        raise InvalidVote(f"{where}: its extension has {len(vote.extension)} bytes; no log record holds it")
    if not vote.verify_extension(state.chain_id, validators.pub_keys[vote.validator_index]):
        raise BadSignatureFromPeer(f"{where}: its extension is not signed by it")
    if app is None:
        return
    request = VerifyVoteExtensionRequest(vote.block_id.hash, vote.validator_address, vote.height, vote.extension)
    if not app.verify_vote_extension(request):
        raise InvalidVote(f"{where}: the application refused its extension")
