"""What the economics cost a block that touches no delegation: begin, end, encoding and the Merkle update.

    python benchmarks/economy.py [--blocks 40]

Two series: 100 validators with 100 to 100,000 delegations, which must cost the same within 1.2; and 10 to 1,000
validators, whose cost may grow linearly, at most 30 us a validator and block. The best of the blocks is taken, because
a neighbour's load only ever adds; all members sign, then a third of them is away.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from chain.app_state.economy import EconomicsGenesis
from chain.currency.economy import GenesisStake
from chain.currency.ledger import bank
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import StakingParams
from chain.currency.ledger.records import ACCOUNT, Account
from chain.currency.ledger.stake_records import SLASH_LINE, Now
from chain.currency.staking import stake
from chain.kernel.branch import Base, Branch, encode_changes
from chain.state.store import Stores
from chain.tx.gas import block_gas_for
from consensus.abci.interface import (
    BlockRequest,
    CommitInfo,
    InitChainRequest,
    Misbehavior,
    MisbehaviorType,
    Slices,
    VoteInfo,
)
from consensus.types.params import BlockParams, ConsensusParams
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from dchat.app.composition import compose
from dchat.node.process import GC_THRESHOLDS
from genesis.app_state import build_app_state
from storage.kv import KeyValueStore
from storage.memory import MemoryStore
from storage.open import open_store
from storage.options import StoreOptions

UNIT = 1_000 * 10**6
SECOND_NS = 10**9
RATIO_MAX = 1.2
PER_VALIDATOR_US_MAX = 30.0


def drain(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


PARAMS = ConsensusParams(block=BlockParams(max_gas=block_gas_for(3_000)))  # of a default network


class Chain:
    """An application with validators of differing stakes, and delegations written at its first height."""

    def __init__(
        self, validators: int, delegations: int, *, store: KeyValueStore | None = None, to_first: bool = False
    ) -> None:
        self.stakes = [
            GenesisStake(sha256(b"op%d" % n)[:20], sha256(b"key%d" % n), (1_000 + n) * UNIT, f"v{n}", ONE // 10)
            for n in range(validators)
        ]
        economics = EconomicsGenesis(staking=StakingParams(validators_max=max(100, validators)), validators=self.stakes)
        self.app = DchatApplication(Stores(store or MemoryStore()))
        state = json.dumps(build_app_state({sha256(b"rich")[:20]: 10**17}, economics=economics)).encode()
        self.app.init_chain(InitChainRequest(0, "economy", PARAMS, (), state, 1))
        self.height = 0
        keys = sorted((-entry.power, sha256(entry.consensus_key)[:20]) for entry in self.stakes)
        self.members = [(address, -power) for power, address in keys]
        self._delegate(delegations, to_first=to_first)

    def _delegate(self, count: int, *, to_first: bool) -> None:
        """As transactions of the first block would have, without the transactions."""
        if not count:
            return
        stores, modules = self.app.stores, compose()
        version = stores.latest_version
        branch = Branch(Base(stores, modules.decoders).get)
        rich = sha256(b"rich")[:20]
        for number in range(count):
            delegator = sha256(b"delegator%d" % number)[:20]
            chosen = 0 if to_first else number % len(self.stakes)
            validator = stake.require_validator(branch, self.stakes[chosen].operator)
            branch.set(ACCOUNT + delegator, Account(delegator, 1))
            bank.move(branch, sender=rich, recipient=bank.BONDED_POOL, amount=10**6)
            stake.delegate(branch, validator, delegator=delegator, amount=10**6, now=Now(1, 1))
        bank.debit(branch, rich, count)
        stores.commit(stores.prepare(version + 1, *drain(encode_changes(branch.writes))))
        self.app._load()
        self.height = version + 1

    def leave(self, count: int, *, moved: bool) -> int:
        """All of the first validator's delegators but its operator undelegate, or redelegate to the second, in one
        block; returns its height."""
        stores, modules = self.app.stores, compose()
        version, operator = stores.latest_version, self.stakes[0].operator
        branch = Branch(Base(stores, modules.decoders).get)
        now = Now(version + 1, (version + 1) * 3 * SECOND_NS)
        for number in range(count):
            delegator = sha256(b"delegator%d" % number)[:20]
            if moved:
                to = self.stakes[1].operator
                stake.redelegate(branch, delegator=delegator, source=operator, destination=to, amount=10**6, now=now)
            else:
                stake.undelegate(branch, delegator=delegator, operator=operator, amount=10**6, now=now)
        stores.commit(stores.prepare(version + 1, *drain(encode_changes(branch.writes))))
        self.app._load()
        self.height = version + 1
        return self.height

    def block(self, away: int, misbehavior: tuple[Misbehavior, ...] = ()) -> float:
        """Seconds of CPU, to propose, decide and commit an empty block."""
        self.height += 1
        absent = {address for address, _ in self.members[:away]}
        votes = tuple(VoteInfo(address, power, 1 if address in absent else 2) for address, power in self.members)
        request = BlockRequest(
            (), CommitInfo(0, votes), misbehavior, sha256(b"%d" % self.height), self.height,
            self.height * 3 * SECOND_NS,
            bytes(32), self.members[self.height % len(self.members)][0],
        )  # fmt: skip
        start = time.process_time()
        answer = drain(self.timed(self.app.process_proposal(request)))
        assert answer.accepted, answer.reason
        drain(self.app.finalize_block(request))
        self.app.commit()
        return time.process_time() - start

    def timed(self, steps: Slices[Any]) -> Slices[Any]:
        """The same steps; the longest is noted."""
        self.longest_slice_s = 0.0
        while True:
            start = time.process_time()
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value
            finally:
                self.longest_slice_s = max(self.longest_slice_s, time.process_time() - start)
            yield


def measure_slash(leavers: int, *, since: bool, moved: bool = False) -> dict[str, float]:
    """A double sign of a validator that so many delegators left; since: after the infraction, so that they pay; moved:
    to another validator.

    On disk: the store in memory sorts its keys when it is scanned.
    """
    with tempfile.TemporaryDirectory() as folder, closing(open_store("leveldb", Path(folder), StoreOptions())) as store:
        return _slash(Chain(2, leavers, store=store, to_first=True), leavers, since=since, moved=moved)


def _slash(chain: Chain, leavers: int, *, since: bool, moved: bool) -> dict[str, float]:
    for _ in range(3):
        chain.block(0)
    left = chain.leave(leavers, moved=moved)
    for _ in range(3):
        usual = chain.block(0)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)  # as in a node
    address, power = sha256(chain.stakes[0].consensus_key)[:20], chain.stakes[0].power
    height = left - 1 if since else left + 3
    found = Misbehavior(MisbehaviorType.DUPLICATE_VOTE, address, power, height, height * 3 * SECOND_NS, power)
    took = [chain.block(0, (found,))]
    slice_s = chain.longest_slice_s
    while chain.app.base.get(SLASH_LINE) is not None:
        took.append(chain.block(0))
        slice_s = max(slice_s, chain.longest_slice_s)
    return {
        "leavers": leavers, "since": since, "moved": moved, "blocks": len(took), "block_ms": 1e3 * max(took),
        "usual_ms": 1e3 * usual, "us_each": 1e6 * (sum(took) - usual * len(took)) / leavers,
        "longest_slice_ms": 1e3 * slice_s,
    }  # fmt: skip


def measure(validators: int, delegations: int, blocks: int) -> dict[str, float]:
    chain = Chain(validators, delegations)
    for _ in range(5):
        chain.block(0)
    signing = [chain.block(0) for _ in range(blocks)]
    for _ in range(3):
        chain.block(validators // 3)
    away = [chain.block(validators // 3) for _ in range(blocks)]
    return {
        "validators": validators,
        "delegations": delegations,
        "best_us": 1e6 * min(signing),
        "median_us": 1e6 * statistics.median(signing),
        "third_away_us": 1e6 * min(away),
        "per_validator_us": 1e6 * min(signing) / validators,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--delegations", type=int, nargs="*", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--validators", type=int, nargs="*", default=[10, 100, 300, 1_000])
    parser.add_argument("--leavers", type=int, nargs="*", default=[1_000, 10_000])
    args = parser.parse_args()
    rows = []
    print(f"{'validators':>10} {'delegations':>11} {'best us':>9} {'median us':>9} {'1/3 away us':>11} {'us each':>8}")
    for validators, delegations in [
        *((100, count) for count in args.delegations), *((count, 0) for count in args.validators)
    ]:  # fmt: skip
        row = measure(validators, delegations, args.blocks)
        rows.append(row)
        print(
            f"{validators:>10} {delegations:>11} {row['best_us']:>9.0f} {row['median_us']:>9.0f} "
            f"{row['third_away_us']:>11.0f} {row['per_validator_us']:>8.2f}"
        )
    flat = [row["best_us"] for row in rows[: len(args.delegations)]]
    if len(flat) > 1:
        ratio = max(flat) / flat[0]
        print(f"most delegations against fewest: {ratio:.2f}, allowed {RATIO_MAX}")
    grown = rows[len(args.delegations) :]
    if len(grown) > 1:
        slope = (grown[-1]["best_us"] - grown[0]["best_us"]) / (grown[-1]["validators"] - grown[0]["validators"])
        print(f"each further validator: {slope:.2f} us a block, allowed {PER_VALIDATOR_US_MAX:.0f}")
    for leavers in args.leavers:
        for since, moved in ((False, False), (True, False), (True, True)):
            row = measure_slash(leavers, since=since, moved=moved)
            rows.append(row)
            when = "since the infraction" if since else "before it"
            print(
                f"a slash, {leavers} left {when}{', to another validator' if moved else ''}: {row['blocks']} blocks, "
                f"the dearest {row['block_ms']:.1f} ms of CPU (usual {row['usual_ms']:.1f}), {row['us_each']:.2f} us "
                f"each, longest slice {row['longest_slice_ms']:.1f} ms"
            )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
