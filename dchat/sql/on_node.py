"""A node's writing into SQL, where its options ask for that: made, told in its status, counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from consensus.documents.genesis import GenesisDoc
from consensus.engine.interfaces import SavedListener
from consensus.node.commit_watch import OnSaved
from consensus.system.clock import Workers
from crypto.hash import sha256
from dchat.config import Config
from dchat.doors.metrics.exposition import gauge, plain_counters
from dchat.doors.reads.answers import Answers
from dchat.retention.retention import Retention
from dchat.sql.feed import FOLLOWING, SqlFeed
from dchat.sql.stored import Stored
from dchat.sql.writer import Target
from proto.dchat.v1 import service_pb2 as pb

TASK: Final = "write into SQL"


def target_of(config: Config, genesis: GenesisDoc) -> Target:
    """Of `[sql]`."""
    digest = sha256(genesis.dumps().encode())
    options = config.sql
    return Target(
        options.connection, options.schema_name, genesis.chain_id, digest.hex(), bodies_kept_s=options.bodies_kept_for
    )


def feed_of(
    config: Config, genesis: GenesisDoc, answers: Answers, retention: Retention, workers: Workers
) -> SqlFeed | None:
    """None: it is not wanted. Raises SqlMissing."""
    if not config.sql.connection:
        return None
    holds = retention.blocks.holds
    return SqlFeed(
        target_of(config, genesis), Stored(answers.blocks, answers.states, lambda: answers.height), workers,
        hold=lambda height: holds.hold("the SQL database has not got it yet", height),
        hold_blocks=config.sql.hold_blocks,
    )  # fmt: skip


def listeners_of(feed: SqlFeed | None) -> dict[str, SavedListener]:
    """Who hears of saved blocks for it."""
    return {} if feed is None else {TASK: OnSaved(lambda saved: feed.block_saved(saved.height))}


def status_of(feed: SqlFeed | None) -> pb.SqlStatus | None:
    return None if feed is None else pb.SqlStatus(state=feed.state, height=feed.saved_height, lag=feed.lag)


def metrics_of(feed: SqlFeed | None) -> Iterator[Metric]:
    """Nothing of a node that writes into none."""
    if feed is None:
        return
    yield gauge("dchat_sql_height", "Height of the last block in SQL.", feed.saved_height)
    yield gauge("dchat_sql_lag_blocks", "Blocks of this node that SQL has not got yet.", feed.lag)
    yield gauge("dchat_sql_following", "1 when SQL has all but the newest blocks.", float(feed.state == FOLLOWING))
    yield from plain_counters("dchat_sql", "SQL", feed.metrics)
