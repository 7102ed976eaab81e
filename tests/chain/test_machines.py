"""Random histories over both machines and the bridge: the invariants hold after each block, a second node that sees
the same blocks in its own way has the same app hash, and history stays as it was.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chain.app_state.document import BridgeGenesis, ChatGenesis, CurrencyGenesis
from chain.kernel.check import CheckState
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from consensus.abci.interface import CheckTxRequest, CheckTxType
from tests.support.chain.harness import Chain, drain
from tests.support.counts import counted

NAMES = ("ann", "bob", "carl", "dora")
ROOMS = ("red", "green")
AMOUNTS = st.sampled_from((1, 999, 10**5, 10**6, 10**9))

OPTIONS: dict[str, Any] = {
    "currency": CurrencyGenesis(gas_price=1_000, unordered_expiry_blocks_max=200),
    "chat": ChatGenesis(message_bytes_max=200, unordered_expiry_blocks_max=200),
    "bridge": BridgeGenesis(
        starter_messages=8, starter_bytes=6_000, messages_per_dchat=1_000, receipt_blocks=3, registration_price=9_000,
        unordered_expiry_blocks_max=200,
    ),
}  # fmt: skip


def new_chain() -> Chain:
    return Chain({"ann": 10**9, "bob": 10**7, "carl": 10**5, "dora": 0}, **OPTIONS)


class Histories(RuleBasedStateMachine):
    """`leader` admits, proposes and executes once; `follower` gets the decided blocks alone."""

    waiting = Bundle("waiting")

    @initialize()
    def begin(self) -> None:
        self.leader, self.follower = new_chain(), new_chain()
        self.pool: list[bytes] = []
        self.hashes: list[bytes] = [self.leader.app.stores.app_hash]
        self.salt = 0
        ann, bob = self.address("ann"), self.address("bob")
        self.send(("ann",), RegisterIdentity(ann, "ann", ""))
        self.send(("bob",), RegisterIdentity(bob, "bob", ""))
        self.decide(rival=False)
        self.send(("ann",), CreateChannel(ann, "red", 1000, ""))
        self.decide(rival=False)
        self.send(("ann",), PostMessage(ann, channel_id("red"), b"first", 0))
        self.send(("bob",), PayToJoin(bob, channel_id("red"), 1000))
        self.decide(rival=True)

    def send(self, signers: tuple[str, ...], *messages: Any, unordered: bool | None = None) -> None:
        """Build with the sequence that admission expects, and keep it if it is admitted."""
        self.salt += 1
        kept = dict(self.leader.sequences)
        options: dict[str, Any] = {} if unordered is None else {"unordered": unordered}
        options["expiry_height"] = self.leader.height + 3
        tx = self.leader.tx(signers, *messages, memo=str(self.salt), **options)
        if self.leader.check(tx).code == 0:
            self.pool.append(tx)
        else:
            self.leader.sequences = kept

    def address(self, name: str) -> bytes:
        return self.leader.address(name)

    @rule(sender=st.sampled_from(NAMES), recipient=st.sampled_from(NAMES), amount=AMOUNTS, unordered=st.booleans())
    def pay(self, sender: str, recipient: str, amount: int, unordered: bool) -> None:
        if sender != recipient:
            message = Payment(self.address(sender), self.address(recipient), amount)
            self.send((sender,), message, unordered=unordered)

    @rule(who=st.sampled_from(NAMES), payer=st.sampled_from(NAMES), name=st.sampled_from(("one", "two", "three")))
    def register(self, who: str, payer: str, name: str) -> None:
        signers = (payer, who) if payer != who else (who,)
        self.send(signers, RegisterIdentity(self.address(who), name, "display"))

    @rule(who=st.sampled_from(NAMES), room=st.sampled_from(ROOMS), price=st.sampled_from((0, 1000)))
    def create(self, who: str, room: str, price: int) -> None:
        self.send((who,), CreateChannel(self.address(who), room, price, "topic"))

    @rule(who=st.sampled_from(NAMES), room=st.sampled_from(ROOMS), paying=st.booleans())
    def join(self, who: str, room: str, paying: bool) -> None:
        room_id = channel_id(room)
        joining = PayToJoin(self.address(who), room_id, 1000) if paying else JoinChannel(self.address(who), room_id)
        self.send((who,), joining)

    @rule(
        who=st.sampled_from(NAMES),
        room=st.sampled_from(ROOMS),
        size=st.sampled_from((1, 100, 201)),
        count=st.integers(1, 3),
    )
    def post(self, who: str, room: str, size: int, count: int) -> None:
        self.send((who,), *[PostMessage(self.address(who), channel_id(room), b"x" * size, 0)] * count)

    @rule(
        who=st.sampled_from(NAMES), room=st.sampled_from(ROOMS), index=st.integers(0, 3), amount=AMOUNTS,
        buys=st.booleans(), posts=st.booleans(),
    )  # fmt: skip
    def bundle(self, who: str, room: str, index: int, amount: int, buys: bool, posts: bool) -> None:
        me = self.address(who)
        legs: list[Any] = [Tip(me, channel_id(room), index, amount)]
        legs += [BuyAllowance(me, amount)] if buys else []
        legs += [PostMessage(me, channel_id(room), b"paid by a fee", 0)] if posts else []
        self.send((who,), *legs)

    @rule(rival=st.booleans(), share=st.sampled_from((1, 2, 4)))
    def block(self, rival: bool, share: int) -> None:
        self.decide(rival=rival, share=share)

    def decide(self, *, rival: bool, share: int = 1) -> None:
        """share: the block takes one in so many of what waits."""
        leader, follower = self.leader, self.follower
        txs = leader.prepare(*self.pool[: -(-len(self.pool) // share)])
        if rival:  # another proposal of the height is executed as well, and not decided
            other = leader.request(txs[: len(txs) // 2], salt=b"rival")
            assert drain(leader.app.process_proposal(other)).accepted
        response = leader.block(*txs)
        again = follower.block(*txs, propose=False)
        assert again.app_hash == response.app_hash
        assert again.tx_results == response.tx_results
        self.pool = [tx for tx in self.pool if tx not in txs]
        assert leader.recheck is not None
        self.recheck(leader.recheck)
        self.hashes.append(response.app_hash)

    def recheck(self, touched: frozenset[bytes]) -> None:
        """As the mempool does: only what touches what the block touched. Then sequences follow what is left."""
        leader, kept = self.leader, []
        for tx in self.pool:
            decoded = leader.app.txs.get(tx)
            expired = decoded.expiry_height and decoded.expiry_height <= leader.height
            identity = leader.app.identify_tx(tx)
            again = CheckTxRequest(tx, CheckTxType.RECHECK)
            if not expired and (not touched & set(identity.touches) or leader.app.check_tx(again).code == 0):
                kept.append(tx)
        self.pool = kept
        self.all_pass_anew()
        for name in NAMES:
            key = leader.wallets[name].public_key
            for lane, prefix in (("currency", b"ua"), ("chat", b"ci")):
                record = leader.app._check.get(prefix + self.address(name))
                leader.sequences[name, lane] = dict(record.sequences).get(key, 0) if record is not None else 0

    def all_pass_anew(self) -> None:
        """What a block left in the pool passes for one that knows nothing of how it came there."""
        app = self.follower.app
        app._check, app._checker = CheckState(app.base, height=self.follower.height + 1), None
        for tx in self.pool:
            answer = app.check_tx(CheckTxRequest(tx))
            assert answer.code == 0, (self.follower.height, answer)

    @invariant()
    def laws_hold(self) -> None:
        self.leader.assert_invariants()

    def teardown(self) -> None:
        if not hasattr(self, "leader"):
            return
        stores = self.leader.app.stores
        for height in range(stores.earliest_version, stores.latest_version + 1):
            assert stores.at(height).app_hash == self.hashes[height]
            for name, holds, detail in self.leader.app.invariants(height or 0):
                assert holds, (height, name, detail)


def test_histories() -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=counted(20, whole=400), stateful_step_count=40, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
