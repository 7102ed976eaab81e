"""`dchat`, with limits so small that two hundred blocks see what else takes thousands: LevelDB's log is switched, the
write-ahead log is put aside, blocks are pruned. Nothing else differs."""

from __future__ import annotations

from chain.state import snapshot
from consensus.pruning import blocks, needs
from consensus.stores.wal import Wal
from dchat.cli.main import main
from dchat.node import runtime

BLOCKS_KEPT = 40
CHUNK_BYTES = 400


def shrink() -> None:
    needs.BLOCKS_KEPT_MIN = BLOCKS_KEPT  # type: ignore[misc]
    blocks.SLACK_BYTES = 20_000  # type: ignore[misc]
    snapshot.CHUNK_BYTES = CHUNK_BYTES  # type: ignore[misc]
    runtime.MIB = 131_072  # type: ignore[attr-defined]  # of a database's cache and buffer
    assert Wal.__init__.__kwdefaults__ is not None
    Wal.__init__.__kwdefaults__["head_bytes_max"] = 60_000


if __name__ == "__main__":
    shrink()
    main()
