"""Our application as another engine is to find it.

What differs from in-process use: the genesis comes as the engine reads it, and means the same however it is written;
an engine of CometBFT's rechecks all that waits after each block, and drops what it
likes without telling, so what was admitted is forgotten with every commit; a snapshot that was restored is judged as a
start would judge it; blocks that a served snapshot needs are not let go of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chain.currency.economy import is_validator
from chain.currency.grants.fee_grants import last_time_ns
from chain.kernel.execution import TIME_NS_MAX
from consensus.abci.interface import (
    ApplyChunkResponse,
    BlockRequest,
    CommitResponse,
    FinalizeBlockResponse,
    InfoRequest,
    InitChainRequest,
    InitChainResponse,
    PrepareProposalRequest,
    PrepareProposalResponse,
    ProcessProposalResponse,
    Slices,
)
from consensus.abci_socket.errors import WrongCall
from consensus.documents.genesis import compact_app_state
from consensus.formats.timestamps import format_rfc3339
from consensus.types.params import VersionParams
from consensus.types.validators import TOTAL_POWER_MAX
from dchat.app.app import DchatApplication

NOBODY: Final = InfoRequest("", 0, 0)


def check_block(request: BlockRequest) -> None:
    """What an engine has verified of any block before it hands it over, and the machines take for granted.
    Raises WrongCall: it has not."""
    where = f"block {request.height}"
    for vote in request.last_commit.votes:
        if not 0 <= vote.power <= TOTAL_POWER_MAX:
            raise WrongCall(f"{where}: the power of a voter is {vote.power}; allowed: 0 to {TOTAL_POWER_MAX}")
    for item in request.misbehavior:
        if not 0 < item.height < request.height:
            raise WrongCall(f"{where}: a misbehavior is of height {item.height}; allowed: 1 to {request.height - 1}")
        if not 0 <= item.power <= item.total_voting_power <= TOTAL_POWER_MAX:
            raise WrongCall(
                f"{where}: a misbehavior is of power {item.power} of {item.total_voting_power}; allowed: 0 to all, and "
                f"of all {TOTAL_POWER_MAX} at most"
            )


class ServedApplication(DchatApplication):
    """held_height: of the lowest snapshot that is served; 0: none."""

    held_height = 0

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        """Raises InvalidGenesis, InvalidAppState; WrongCall: there are blocks.

        The parameters are told to have the version that `info` tells: CometBFT writes the latter into its headers and
        the former where it goes back a height, and would refuse its own block then.
        """
        if self.last_height:
            raise WrongCall(f"a genesis; the application has blocks up to {self.last_height}")
        if request.initial_height < 1:
            raise WrongCall(f"a genesis whose initial_height is {request.initial_height}; allowed: 1 or more")
        began = super().init_chain(replace(request, app_state_bytes=compact_app_state(request.app_state_bytes)))
        params, version = began.consensus_params or request.consensus_params, self.info(NOBODY).app_version
        return replace(began, consensus_params=replace(params, version=VersionParams(version)))

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        self._check_next(request.height)
        return super().prepare_proposal(request)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        self._check_next(request.height)
        check_block(request)
        return super().process_proposal(request)

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        self._check_next(request.height)
        check_block(request)
        self._check_chain(request)
        return super().finalize_block(request)

    def _check_next(self, height: int) -> None:
        """Raises WrongCall."""
        if self._chain is None:
            raise WrongCall(f"block {height}; the application has no genesis yet, which init_chain gives it")
        if height != (wanted := self.next_height):
            raise WrongCall(f"block {height}; the application is at {wanted - 1}, and its next block is {wanted}")

    def _check_chain(self, request: BlockRequest) -> None:
        """A block of another chain has the next height, too, and what it did could not be undone: an engine sees from
        the app hash that follows that it does not fit. What a block says of its chain is who signed the last one, and
        when it was made. Raises WrongCall."""
        if not self.last_height:
            return
        strange = f"block {request.height} is of another chain"
        voters = [vote.address for vote in request.last_commit.votes]
        if voters and not any(is_validator(self.base, address) for address in voters):
            raise WrongCall(f"{strange}: none of its {len(voters)} signers is known here")
        last_ns = last_time_ns(self.base)
        if 0 < last_ns < TIME_NS_MAX and request.time_ns <= last_ns:  # at its bounds it may stand still
            raise WrongCall(
                f"{strange}: its time, {format_rfc3339(request.time_ns)}, is not after the last block's, "
                f"{format_rfc3339(last_ns)}"
            )

    @property
    def next_height(self) -> int:
        return self.stores.latest_version + 1

    def commit(self) -> CommitResponse:
        response = super().commit()
        self.forget_admitted()
        retain = min(response.retain_height, self.held_height) if self.held_height else response.retain_height
        return CommitResponse(retain)

    def apply_snapshot_chunk(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        """Raises HaltRequested: what was restored wants another build."""
        response = super().apply_snapshot_chunk(index, chunk, sender)
        if not self.is_restoring and self.last_height:
            self.upgrader.check_start(self.base, self.next_height)
        return response
