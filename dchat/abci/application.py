"""Our application as another engine is to find it.

What differs from in-process use: the genesis comes as the engine reads it, and means the same however it is written;
an engine of CometBFT's rechecks all that waits after each block, and drops what it
likes without telling, so what was admitted is forgotten with every commit; a snapshot that was restored is judged as a
start would judge it; blocks that a served snapshot needs are not let go of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

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
from consensus.types.params import VersionParams
from dchat.app.app import DchatApplication

NOBODY: Final = InfoRequest("", 0, 0)


class ServedApplication(DchatApplication):
    """held_height: of the lowest snapshot that is served; 0: none."""

    held_height = 0

    def init_chain(self, request: InitChainRequest) -> InitChainResponse:
        """Raises InvalidGenesis, InvalidAppState.

        The parameters are told to have the version that `info` tells: CometBFT writes the latter into its headers and
        the former where it goes back a height, and would refuse its own block then.
        """
        began = super().init_chain(replace(request, app_state_bytes=compact_app_state(request.app_state_bytes)))
        params, version = began.consensus_params or request.consensus_params, self.info(NOBODY).app_version
        return replace(began, consensus_params=replace(params, version=VersionParams(version)))

    def prepare_proposal(self, request: PrepareProposalRequest) -> Slices[PrepareProposalResponse]:
        self._check_next(request.height)
        return super().prepare_proposal(request)

    def process_proposal(self, request: BlockRequest) -> Slices[ProcessProposalResponse]:
        self._check_next(request.height)
        return super().process_proposal(request)

    def finalize_block(self, request: BlockRequest) -> Slices[FinalizeBlockResponse]:
        self._check_next(request.height)
        return super().finalize_block(request)

    def _check_next(self, height: int) -> None:
        """Raises WrongCall."""
        if height != (wanted := self.next_height):
            raise WrongCall(f"block {height}; the application is at {wanted - 1}, and its next block is {wanted}")

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
