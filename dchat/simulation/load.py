"""The genesis of a simulated chain, and people who pay and delegate on it, at whatever node answers."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence

from chain.app_state.document import CurrencyGenesis
from chain.app_state.economy import EconomicsGenesis
from chain.currency.economy import GenesisStake
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import SlashingParams, StakingParams
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Message, Payment
from chain.tx.messages.economy import Delegate, RotateConsensusKey, Undelegate, prove_possession
from consensus.documents.genesis import GenesisDoc, GenesisValidator
from consensus.simulation.clock import START_NS
from consensus.types.params import ConsensusParams, ValidatorParams
from crypto.hash import sha256
from crypto.keys import PrivKey
from dchat.simulation.laws import Judge
from dchat.simulation.node import SimNode
from dchat.simulation.plan import HOURS_MS, Plan
from dchat.simulation.successions import KEYS_MAX, validator_key
from genesis.app_state import build_app_state

CHAIN_ID = "simulation"
DCHAT = 10**6
UNIT = 1_000 * DCHAT  # of power
PEOPLE = 4
EXPIRY_BLOCKS = 500  # more than a run has blocks: what is promised is never too late
GAS_PRICE = 100_000
MEMO_BYTES = 200  # so that a burst makes a block of several parts, or nearly


def operator(index: int) -> Wallet:
    return Wallet.from_seed(sha256(b"operator %d" % index))


def person(index: int) -> Wallet:
    return Wallet.from_seed(sha256(b"person %d" % index))


def genesis_of(plan: Plan, key: Callable[[int], PrivKey] | None = None) -> GenesisDoc:
    """key: of a validator, by its place; by default as the plan says."""
    keys = [(key(index) if key else validator_key(plan, index)).pub_key for index in range(len(plan.powers))]
    stakes = [
        GenesisStake(operator(index).address, keys[index].bytes, power * UNIT, f"v{index}", 0, ONE, ONE, 1)
        for index, power in enumerate(plan.powers)
    ]
    economics = EconomicsGenesis(
        staking=StakingParams(min_stake=UNIT, min_self_delegation=1, **_pace(plan)),
        slashing=SlashingParams(missed_blocks_window=plan.missed_blocks_window),
        validators=stakes,
    )
    balances = {person(index).address: 1_000 * UNIT for index in range(PEOPLE)}
    if plan.rotates:
        balances |= {operator(index).address: UNIT for index in range(len(plan.powers))}
    state = build_app_state(balances, currency=CurrencyGenesis(gas_price=GAS_PRICE), economics=economics)
    return GenesisDoc(
        chain_id=CHAIN_ID,
        consensus_params=ConsensusParams(validator=ValidatorParams(tuple(dict.fromkeys(plan.key_types)))),
        genesis_time_ns=START_NS - (10**9 if not plan.wandering else 2 * HOURS_MS * 10**6),  # all wait for it
        validators=tuple(GenesisValidator(key, power) for key, power in zip(keys, plan.powers, strict=True)),
        app_state=json.dumps(state, separators=(",", ":")).encode(),
    )


def _pace(plan: Plan) -> dict[str, int]:
    return {"key_rotations_max": KEYS_MAX} if plan.rotates else {}


class Load:
    """`send` lets somebody send something to a node: mostly new, sometimes a second time, sometimes spoilt."""

    def __init__(self, plan: Plan, judge: Judge) -> None:
        self._rng = random.Random(f"load {plan.seed}")
        self._burst_txs, self._judge = plan.burst_txs, judge
        shrinking = {plan.twin, *plan.held_by_liars, *plan.far}
        self._honest = [index for index in range(len(plan.powers)) if index not in shrinking]  # who may grow
        self._sent: list[bytes] = []

    def send(self, nodes: Sequence[SimNode]) -> None:
        """Send one transaction, or a burst. Where no node is up, nothing is sent."""
        ready = [node for node in nodes if node.parts is not None]
        if ready:
            for _ in range(self._rng.choice((1, 1, 1, self._burst_txs))):
                self._send_one(ready)

    def probe(self, node: SimNode) -> None:
        """A new payment; where the node admits it, it is the node's `probe`."""
        assert node.life is not None
        tx = self._new(payment=True)
        self._judge.good.add(tx)
        self._sent.append(tx)
        node.loop.spawn(node.life, self._probe(node, tx))

    async def _probe(self, node: SimNode, tx: bytes) -> None:
        assert node.parts is not None
        if not (await node.parts.pool.submit(tx)).code:
            node.probe = tx

    def _send_one(self, ready: list[SimNode]) -> None:
        rng = self._rng
        chance = rng.random()
        if chance < 0.1 and self._sent:
            tx = rng.choice(self._sent)
        else:
            tx = self._new()
            if chance > 0.95:
                tx = tx[:-1] + bytes([tx[-1] ^ 1])  # the signature's last byte
            else:
                self._judge.good.add(tx)
                self._sent.append(tx)
        for node in rng.sample(ready, min(len(ready), rng.choice((1, 1, 2)))):
            assert node.life is not None
            node.loop.spawn(node.life, self._submit(node, tx, durable=rng.random() < 0.5))

    def rotate(self, index: int, key: PrivKey, nodes: Sequence[SimNode]) -> None:
        """An operator tells the chain, by whichever node, of a key for its validator."""
        ready = [node for node in nodes if node.parts is not None]
        if not ready:
            return
        me = operator(index)
        proof = prove_possession(key, CHAIN_ID, me.address)
        tx = self._build(me, RotateConsensusKey(me.address, key.pub_key.bytes, proof))
        self._judge.good.add(tx)
        self._sent.append(tx)
        node = self._rng.choice(ready)
        assert node.life is not None
        node.loop.spawn(node.life, self._submit(node, tx, durable=False))

    def _new(self, *, payment: bool = False) -> bytes:
        rng = self._rng
        sender = person(rng.randrange(PEOPLE))
        validator = operator(rng.choice(self._honest)).address
        message = rng.choices(
            (
                Payment(sender.address, person(rng.randrange(PEOPLE)).address, rng.randint(1, DCHAT)),
                Delegate(sender.address, validator, rng.randint(1, 2 * UNIT)),
                Undelegate(sender.address, validator, rng.randint(1, UNIT)),
            ),
            (1, 0, 0) if payment else (6, 3, 1),
        )[0]
        return self._build(sender, message)

    def _build(self, sender: Wallet, message: Message) -> bytes:
        return build_tx(
            chain_id=CHAIN_ID,
            messages=(message,),
            seats=(Seat(sender, None, with_policy=True),),
            gas_price=GAS_PRICE,
            expiry_height=self._judge.height + EXPIRY_BLOCKS,
            memo=str(len(self._sent)).ljust(MEMO_BYTES),
        )

    async def _submit(self, node: SimNode, tx: bytes, *, durable: bool) -> None:
        parts = node.parts
        assert parts is not None
        answer = await parts.pool.submit(tx)
        if answer.code:
            return
        if durable:
            with contextlib.suppress(OSError):  # of a disk that fails: then nothing is promised
                await parts.journal.keep(tx)
                self._judge.promised.setdefault(tx, node.name)
