"""What keys of ML-DSA-65 cost beside Ed25519's: sizes of what is sent and kept, and rates.

    python -m benchmarks.key_types [--validators 4,100]

Rates: processor time of this thread, the least of seven runs; a busy machine raises them all the same. Sizes: of the
encodings that go over the wire: the message of a vote, a commit, a light block, a block of no transactions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from consensus.channels.peer_messages import VoteMessage
from consensus.state.state import State
from consensus.state.validation import make_block
from consensus.types.commits import commit_from_votes, verify_commit
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto import native
from crypto.hash import sha256
from crypto.keys import ED25519, KEY_TYPES, PrivKey
from crypto.mldsa import ML_DSA_65

CHAIN = "key-types"
RUNS, EACH = 7, 40
TIME_NS = 1_800_000_000 * 10**9
BLOCK = BlockID(sha256(b"block"), PartSetHeader(1, sha256(b"parts")))
MIXED = "half of each"


def us(work: Callable[[], object], each: int = EACH) -> float:
    """Microseconds of one call."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.thread_time_ns()
        for _ in range(each):
            work()
        best = min(best, (time.thread_time_ns() - began) / each / 1_000)
    return best


def keys_of(name: str, count: int) -> list[PrivKey]:
    kinds = (ED25519, ML_DSA_65) if name == MIXED else (name,)
    return [KEY_TYPES[kinds[at % len(kinds)]].from_secret(sha256(b"%d" % at)) for at in range(count)]


def rates(name: str) -> None:
    kind = KEY_TYPES[name]
    key, secret, message = kind.from_secret(bytes(32)), bytes(32), bytes(120)
    signature, public = key.sign(message), key.pub_key
    made, signed = us(lambda: kind.from_secret(secret)), us(lambda: key.sign(message))
    read, verified = us(lambda: kind.pub_key(public.bytes)), us(lambda: public.verify(message, signature))
    print(
        f"| {name} | {kind.key_bytes:,} | {kind.signature_bytes:,} | {made:.0f} us | {signed:.0f} us | {read:.0f} us "
        f"| {verified:.0f} us |"
    )


def sizes(name: str, count: int) -> None:
    keys = keys_of(name, count)
    of = {key.pub_key.address: key for key in keys}
    validators = ValidatorSet.new((key.pub_key, 1_000) for key in keys)
    votes = []
    for index, one in enumerate(validators):
        vote = Vote(PRECOMMIT, 1_000_000, 0, BLOCK, TIME_NS + index, one.address, index)
        votes.append(vote.signed(of[one.address].sign(vote.sign_bytes(CHAIN))))
    commit = commit_from_votes(1_000_000, 0, BLOCK, votes)
    state = State(CHAIN, 1, 1_000_000, BLOCK, TIME_NS, validators, validators, validators)
    block = make_block(
        state, txs=(), last_commit=commit, evidence=(), proposer_address=validators.proposer_of(0).address
    )
    light = LightBlock(SignedHeader(block.header, commit), validators)
    message = max(len(VoteMessage(vote).encode()) for vote in votes)
    verified = us(
        lambda: verify_commit(CHAIN, validators, commit, block_id=BLOCK, height=1_000_000), max(1, 200 // count)
    )
    row = (
        message, 2 * sum(len(VoteMessage(vote).encode()) for vote in votes), len(commit.encode()),
        validators.commit_bytes_max, len(block.encode()), len(light.encode()),
    )  # fmt: skip
    print(f"| {count} | {name} | " + " | ".join(f"{size:,}" for size in row) + f" | {verified / 1_000:.2f} ms |")


def head(*columns: str) -> None:
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validators", default="4,100", help="sizes of sets")
    counts = [int(count) for count in parser.parse_args().validators.split(",")]
    print(f"native part: {'used' if native.is_used() else 'not used'}")
    head("type", "public key", "signature", "making a key", "signing", "reading a public key", "verifying")
    for name in (ED25519, ML_DSA_65):
        rates(name)
    print()
    head(
        "validators", "keys", "a vote's message", "all votes of a round", "commit", "commit at most", "empty block",
        "light block", "verifying a commit",
    )  # fmt: skip
    for count in counts:
        for name in (ED25519, MIXED, ML_DSA_65):
            sizes(name, count)


if __name__ == "__main__":
    main()
