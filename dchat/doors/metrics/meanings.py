"""What each plain counter means: `plain_counters` exports them by their field's name, here is the sentence for each.

A name that ends in `_total` is a counter since the start of the process, another a gauge.
"""

from __future__ import annotations

from typing import Final

_CONSENSUS: Final = {
    "height": "Height that consensus is at: one above the last block.",
    "round": "Round of the height that consensus is at; above 0 a round before it decided nothing.",
    "latest_block_height": "Height of the last block that was applied since the start.",
    "latest_block_time_ns": "Time in the header of the last block, in nanoseconds since 1970.",
    "block_txs": "Transactions in the last block.",
    "block_bytes": "Bytes of the last block.",
    "validators": "Validators of the next height.",
    "validators_power": "Voting power of all validators of the next height.",
    "missing_validators": "Validators whose vote the last block's commit lacks.",
    "byzantine_validators": "Validators against whom the last block has evidence.",
    "last_signed_height": "Last height at which this node signed.",
    "is_catching_up_from_wal": "1 while the log of the running height is read after a start.",
    "blocks_total": "Blocks that were applied.",
    "txs_total": "Transactions in the blocks that were applied.",
    "rounds_failed_total": "Rounds above 0 that were begun: each means that the one before decided nothing.",
    "proposals_received_total": "Proposals that came in.",
    "proposals_refused_total": "Proposals that were refused, as by a wrong signature.",
    "parts_received_total": "Parts of blocks that came in.",
    "parts_duplicate_total": "Parts of blocks that were here already.",
    "parts_refused_total": "Parts of blocks that were refused, as by a wrong proof.",
    "votes_received_total": "Votes that came in.",
    "votes_duplicate_total": "Votes that were here already.",
    "votes_refused_total": "Votes that were refused, as by a wrong signature.",
    "votes_late_total": "Precommits that came after their height's block, and were added to its commit.",
    "own_precommits_late_total": "Precommits of this validator, made when the others had decided without them.",
    "equivocations_total": "Pairs of contradicting votes of one validator, which become evidence.",
    "own_signatures_refused_total": "Times that the signer refused to sign, to sign nothing twice.",
    "inbox_dropped_total": "Messages of peers that found the inbox of consensus full.",
    "wal_restated_total": "Times that the log of a height of many rounds was shortened.",
}
_MEMPOOL: Final = {
    "admitted_total": "Transactions that were let in.",
    "refused_total": "Transactions that were refused, by this node or by the application.",
    "refused_full_total": "Transactions that were refused for want of room.",
    "refused_known_total": "Transactions that were refused since they were found bad a while ago.",
    "committed_total": "Transactions that left since a block has them.",
    "expired_total": "Transactions that left since their time was over.",
    "rechecked_total": "Transactions that were looked at again after a block.",
    "recheck_failed_total": "Transactions that left since they could no longer be paid or executed after a block.",
    "signatures_verified_total": "Signatures that were verified.",
    "signatures_bad_total": "Signatures that did not hold.",
    "held_total": "Transactions that were kept for a while, since one before them was missing.",
    "held_admitted_total": "Transactions that were kept for one that was missing, and let in when it came.",
    "replaced_total": "Transactions that left for one of the same sender and place that pays more.",
    "displaced_total": "Transactions that left for want of room, for others that pay more.",
    "underpriced_total": "Transactions that were refused and would have come in had they paid more.",
    "passed_over_total": "Transactions that did not fit into a proposal, while others went on.",
    "failed_total": "Transactions that this node could not judge, by a fault of its own.",
}
_GOSSIP: Final = {
    "parts_received_total": "Parts of blocks that peers sent.",
    "parts_duplicate_total": "Parts of blocks that peers sent and that were here already.",
    "votes_received_total": "Votes that peers sent.",
    "votes_duplicate_total": "Votes that peers sent and that were here already.",
    "proposals_received_total": "Proposals that peers sent.",
    "proposals_duplicate_total": "Proposals that peers sent and that were here already.",
    "parts_sent_total": "Parts of blocks that were sent to peers.",
    "votes_sent_total": "Votes that were sent to peers.",
    "votes_relayed_total": "Votes of others that were passed on to peers.",
    "parts_relayed_total": "Parts of others' blocks that were passed on to peers.",
    "announcements_sent_total": "Messages to peers that say which votes and parts are here.",
    "steps_sent_total": "Messages to peers that say at which height, round and step this node is.",
    "catch_up_votes_sent_total": "Votes of earlier heights that were sent to peers that are behind.",
    "catch_up_parts_sent_total": "Parts of earlier blocks that were sent to peers that are behind.",
    "parts_received_unlike_total": "Parts of blocks that peers of another kind (CometBFT) sent.",
    "parts_duplicate_unlike_total": "Parts of blocks that peers of another kind sent and that were here already.",
    "parts_sent_unlike_total": "Parts of blocks that were sent to peers of another kind.",
    "votes_received_unlike_total": "Votes that peers of another kind (CometBFT) sent.",
    "votes_duplicate_unlike_total": "Votes that peers of another kind sent and that were here already.",
    "votes_sent_unlike_total": "Votes that were sent to peers of another kind.",
    "inbox_full_total": "Messages of peers that consensus did not take, since its inbox was full.",
}
_TX_GOSSIP: Final = {
    "received_total": "Transactions that peers sent.",
    "duplicates_total": "Transactions that peers sent and that were here already.",
    "sent_total": "Transactions that were sent to peers.",
    "announced_total": "Hashes of transactions that were told to peers, counted for each peer.",
    "announcements_received_total": "Hashes of transactions that peers told.",
    "wanted": "Transactions that peers told of and that are asked for now.",
    "want_timeouts_total": "Transactions that were asked for and did not come in time.",
    "forgotten_total": "Transactions that were not sent to a peer, since it took them too slowly.",
    "dropped_full_total": "Transactions of peers that found the mempool full.",
}
_BLOCK_SYNC: Final = {
    "syncing": "1 while blocks are fetched that the others decided before.",
    "blocks_applied_total": "Blocks that were fetched and applied.",
    "txs_applied_total": "Transactions in the blocks that were fetched and applied.",
    "blocks_received_total": "Blocks that peers sent.",
    "bytes_received_total": "Bytes of the blocks that peers sent.",
    "blocks_served_total": "Blocks that were sent to peers that asked.",
    "timeouts_total": "Requests for blocks that were not answered in time.",
    "bad_blocks_total": "Blocks of peers that did not hold.",
    "highest_claim": "Highest height that a peer says it has and that is believed.",
    "target": "Height to which peers can serve blocks, as far as they can be believed.",
    "peers_used": "Peers that are asked for blocks.",
    "blocks_per_second": "Blocks a second that were applied in the last ten seconds.",
    "txs_per_second": "Transactions a second that were applied in the last ten seconds.",
}
_SNAPSHOTS_SERVED: Final = {
    "snapshots_told_total": "Snapshots that peers were told of.",
    "chunks_served_total": "Pieces of snapshots that were sent to peers.",
    "chunk_bytes_served_total": "Bytes of the pieces that were sent to peers.",
    "light_blocks_served_total": "Signed headers with their validators that were sent to peers.",
    "missing_total": "Answers to peers that there is no such thing here.",
}
_BACKFILL: Final = {
    "headers_total": "Headers below a snapshot that were fetched and verified.",
    "lowest": "Height from which on headers are kept; 0 before it was looked.",
    "wanted": "Height down to which headers are wanted; 0 when none is fetched now.",
    "bad_total": "Headers of peers that did not hold.",
}
_SNAPSHOTS: Final = {
    "made_total": "Snapshots that this node made.",
    "failed_total": "Snapshots that could not be made.",
    "height": "Height of the newest snapshot.",
    "chunks": "Pieces of the newest snapshot.",
    "bytes": "Bytes of the newest snapshot.",
    "chunks_served_total": "Pieces that were read for peers.",
    "bad_chunks_total": "Pieces that the disk gave back otherwise than they were written.",
}
_STATE_SYNC: Final = {
    "stage": "Stage of joining by a snapshot, as a number; /ready says it in words.",
    "height": "Height of the snapshot that is fetched.",
    "chunks": "Pieces that the snapshot has.",
    "chunks_applied": "Pieces of the snapshot that were applied.",
    "chunks_fetched_total": "Pieces of snapshots that peers sent.",
    "bytes_fetched_total": "Bytes of the pieces that peers sent.",
    "chunks_resumed": "Pieces that were here from before a stop.",
    "bad_chunks_total": "Pieces of peers that did not hold.",
    "refused_snapshots_total": "Snapshots that were refused.",
    "timeouts_total": "Requests for pieces that were not answered in time.",
}
_PRUNING: Final = {
    "blocks_total": "Blocks that were forgotten.",
    "transactions_total": "Transactions that the index forgot.",
    "versions_total": "Old states of the application that were forgotten.",
    "bytes_total": "Bytes of blocks and results that were deleted.",
    "compactions_total": "Times that a database was made smaller after deleting.",
    "failures_total": "Rounds of pruning that failed; the next one tries again.",
}
_SEARCH: Final = {
    "asked_total": "Searches by events that were asked for.",
    "found_total": "Transactions and blocks that searches found.",
    "work_total": "Entries of the index and events that searches looked at.",
    "too_wide_total": "Searches that were refused or cut, since they look at too much.",
}
_SQL: Final = {
    "blocks_total": "Blocks that were written into SQL.",
    "transactions_total": "Transactions that were written into SQL.",
    "failures_total": "Writes into SQL that failed; each is tried again.",
}

MEANINGS: Final = {
    f"dchat_{prefix}_{name}": sentence
    for prefix, sentences in (
        ("consensus", _CONSENSUS),
        ("mempool", _MEMPOOL),
        ("gossip", _GOSSIP),
        ("tx_gossip", _TX_GOSSIP),
        ("block_sync", _BLOCK_SYNC),
        ("snapshots_served", _SNAPSHOTS_SERVED),
        ("backfill", _BACKFILL),
        ("snapshots", _SNAPSHOTS),
        ("state_sync", _STATE_SYNC),
        ("pruning", _PRUNING),
        ("search", _SEARCH),
        ("sql", _SQL),
    )
    for name, sentence in sentences.items()
}
