"""What an auditor asks of both chains: heights, roots and books, each from where it is kept, and whether they agree."""

from __future__ import annotations

from dchat.app.bridge_queries import BridgeQueries
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import NotThere
from proto.dchat.v1 import bridge_service_pb2 as pb


def bridge_status(answers: Answers, height: int) -> pb.GetBridgeStatusResponse:
    """After the saved block `height`. Raises: VersionUnavailable."""
    told = BridgeQueries(answers.queries).status(height)
    told.agreed_app_hash = agreed_app_hash(answers, told.height)
    alone = all(store.root == store.recorded_root and store.changed_height <= told.height for store in told.stores)
    told.in_step = alone and told.app_hash == told.agreed_app_hash
    return told


def agreed_app_hash(answers: Answers, height: int) -> bytes:
    """What the validators agreed to be the state after a block; empty where this node does not know it.

    The header above has it; of the latest block the engine has saved what the next header must have.
    """
    saved = answers.states.load()
    if saved is not None and saved.last_block_height == height:
        return saved.app_hash
    try:
        return answers.meta(height + 1).header.app_hash
    except NotThere:
        return b""
