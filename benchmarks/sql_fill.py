"""python -m benchmarks.sql_fill [--blocks 1000] [--txs 100]: how fast blocks of payments go into a PostgreSQL server.

The server is made for it, in a folder of its own, and syncs its disk. Prints blocks, transactions and rows a second,
where the writer's own CPU time goes, and what a transaction takes on the server's disk. Beside them, of the same run:
the Ed25519 floor.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing

from crypto.keys import Ed25519PrivKey, ed25519_verify
from dchat.sql.rows import COLUMNS, BlockRows
from dchat.sql.writer import Target, Writer
from tests.support.sql import server as servers
from tests.support.sql.chain import chain

BATCH_BLOCKS = 500
BATCH_BYTES = 4 << 20


def floor_us() -> float:
    """What one Ed25519 verification takes."""
    key = Ed25519PrivKey.from_seed(bytes(32))
    signature, began = key.sign(b"floor"), time.thread_time()
    for _ in range(2_000):
        assert ed25519_verify(key.pub_key.bytes, b"floor", signature)
    return (time.thread_time() - began) / 2_000 * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=1_000)
    parser.add_argument("--txs", type=int, default=100, help="payments of a block")
    options = parser.parse_args()
    blocks = list(chain(options.blocks, txs=options.txs))
    began = time.thread_time()
    rows = sum(sum(map(len, BlockRows(made.block, made.results).pieces())) for made in blocks)
    making_s = time.thread_time() - began
    servers.SETTINGS["fsync"] = "on"
    with servers.sql_server() as server:
        target = Target(server.new_database("bench"), "dchat", "chain", "00")
        began, cpu = time.monotonic(), time.thread_time()
        with closing(Writer.attach(target)) as writer:
            at = 0
            while at < len(blocks):
                batch, size = [], 0
                while at < len(blocks) and len(batch) < BATCH_BLOCKS and size < BATCH_BYTES:
                    batch.append(blocks[at])
                    size += blocks[at].size
                    at += 1
                writer.write(batch)
        took, cpu = time.monotonic() - began, time.thread_time() - cpu
        count = "SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in COLUMNS)
        counted = server.ask(target.connection, count)[0]
        assert counted[0] == options.blocks, counted
        assert sum(counted) == rows + options.blocks, (counted, rows)
        ((disk,),) = server.ask(target.connection, "SELECT pg_database_size('bench')")
    txs = options.blocks * options.txs
    each = max(1, txs)
    print(f"{options.blocks} blocks of {options.txs} payments in {took:.1f} s: {options.blocks / took:.0f} blocks/s")
    print(f"{txs / took:.0f} transactions/s, {rows / took:.0f} rows/s ({rows / each:.1f} a transaction)")
    print(
        f"CPU of the writer {cpu / each * 1e6:.0f} us a transaction, of them {making_s / each * 1e6:.0f} to make rows"
    )
    print(f"{disk / each:.0f} bytes of the server's disk a transaction; Ed25519 floor {floor_us():.1f} us")


if __name__ == "__main__":
    main()
