"""A chain with people who have identities, and short words for what they do in channels."""

from __future__ import annotations

from typing import Any, TypeVar

from chain.app_state.document import ChatGenesis
from chain.chat.channels.records import CHANNEL, Channel, Membership, member_key
from chain.kernel.branch import Key
from chain.tx.errors import TxError
from chain.tx.messages import BuyAllowance, CreateChannel, Message, RegisterIdentity, channel_id
from consensus.abci.interface import ExecTxResult
from tests.support.chain.harness import SECOND_NS, Chain

DCHAT = 10**6
PEOPLE = ("ann", "bob", "carl", "dora")
ROOM = channel_id("room")
T = TypeVar("T")


class Rooms(Chain):
    """ann, bob, carl and dora are registered; ann makes `room` by `opened`."""

    def __init__(self, **genesis: Any) -> None:
        genesis.setdefault("chat", ChatGenesis(message_bytes_max=1_000))
        super().__init__(dict.fromkeys(PEOPLE, 1_000 * DCHAT), **genesis)
        self.ann, self.bob, self.carl, self.dora = map(self.address, PEOPLE)
        for name in PEOPLE:
            self.ok(name, RegisterIdentity(self.address(name), name, ""), BuyAllowance(self.address(name), 100 * DCHAT))

    def opened(self, price: int = 0, **terms: Any) -> Rooms:
        self.ok("ann", CreateChannel(self.ann, "room", price, "", **terms))
        return self

    def ok(self, who: str, *messages: Message) -> ExecTxResult:
        """In a block of its own."""
        result = self.block(self.tx(who, *messages)).tx_results[0]
        assert result.code == 0, result.log
        assert result.gas_used <= result.gas_wanted
        self.assert_invariants()
        return result

    def refused(self, error: type[TxError], who: str, *messages: Message) -> str:
        """What it says, where this is why."""
        before = dict(self.app.stores.scan("chat", CHANNEL[1:]))
        result = self.block(self.tx(who, *messages)).tx_results[0]
        assert result.code == error.code, (result.code, result.log)
        assert dict(self.app.stores.scan("chat", CHANNEL[1:])) == before
        self.assert_invariants()
        return result.log

    def wait(self, seconds: int) -> None:
        """An empty block that is so much later."""
        self.skipped_ns += (seconds - 1) * SECOND_NS
        response = self.block()
        self.told = [event.type for event in response.events]
        self.assert_invariants()

    @property
    def now_ns(self) -> int:
        """Of the last block."""
        return self.time_of(self.height)

    def get(self, key: Key[T]) -> T:
        return self.app.base.get(key)

    @property
    def room(self) -> Channel:
        found = self.get(CHANNEL + ROOM)
        assert found is not None
        return found

    def member(self, who: bytes) -> Membership | None:
        return self.get(member_key(ROOM, who))
