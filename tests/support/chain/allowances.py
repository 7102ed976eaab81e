"""Identities with allowance, and a channel that they may post to."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from chain.app_state.document import BridgeGenesis, ChatGenesis
from chain.chat.channels.pots import POT, Pot
from chain.chat.ledger.records import IDENTITY, Allowance
from chain.tx.errors import TxError
from chain.tx.messages import BuyAllowance, CreateChannel, Message, PostMessage, RegisterIdentity, channel_id
from consensus.abci.interface import CheckTxRequest, CheckTxType, ExecTxResult
from tests.support.chain.harness import Chain
from tests.support.economy.world import UNIT, World

DCHAT = 10**6
DAY = 86_400
ROOM = channel_id("room")
CHAT = ChatGenesis(message_bytes_max=1_000, refill_period_s=DAY, unlock_delay_s=DAY)


class Rooms(World):
    """ann, bob, carl and dora are registered; ann made `room`. With a validator: admission goes by a chain's time."""

    def __init__(self, chat: ChatGenesis, bridge: BridgeGenesis) -> None:
        names = ("ann", "bob", "carl", "dora")
        super().__init__(
            {"v1": 100 * UNIT},
            dict.fromkeys((*names, "v1"), 1_000 * DCHAT),
            gas_price=100_000,
            chat=chat,
            bridge=bridge,
        )
        self.ann, self.bob, self.carl, self.dora = map(self.address, names)
        for name in names:
            self.ok(name, RegisterIdentity(self.address(name), name, ""), BuyAllowance(self.address(name), 100 * DCHAT))
        self.ok("ann", CreateChannel(self.ann, "room", 0, ""))

    def ok(self, who: str, *messages: Message) -> ExecTxResult:
        result = self.do(who, *messages)
        assert result.gas_used <= result.gas_wanted
        return result

    def refused(self, error: type[TxError], who: str, *messages: Message) -> None:
        result = self.run(who, *messages)
        assert (result.code, result.codespace) == (error.code, error.codespace), result.log

    def wait(self, seconds: int) -> None:
        self.told = [event.type for event in self.block(seconds=seconds).events]


def people(**chat: Any) -> Rooms:
    given = {field.name: getattr(CHAT, field.name) for field in fields(CHAT)} | chat
    price = 400 * DCHAT if "free_messages" in chat else 250_000
    return Rooms(ChatGenesis(**given), BridgeGenesis(registration_price=price))


def allowance(rooms: Chain, who: bytes) -> Allowance:
    found = rooms.app.base.get(IDENTITY + who)
    assert found is not None
    return found.allowance


def pot(rooms: Chain) -> Pot:
    found = rooms.app.base.get(POT + ROOM)
    assert found is not None
    return found


def posts(who: bytes, count: int = 1, content: bytes = b"x") -> list[Message]:
    return [PostMessage(who, ROOM, content, 0)] * count


def by_channel(rooms: Rooms, name: str, *messages: Message, channel: bytes = ROOM, **options: Any) -> bytes:
    return rooms.tx(name, *messages, fee_granter=channel, **options)


def paid(rooms: Rooms, name: str, count: int = 1, **options: Any) -> None:
    """Posts that the channel pays for, in a block of their own."""
    raw = by_channel(rooms, name, *posts(rooms.address(name), count), **options)
    assert rooms.check(raw).code == 0
    assert rooms.propose(raw) == ""
    result = rooms.block(raw).tx_results[0]
    assert result.code == 0, result.log


def unpaid(rooms: Rooms, error: type[TxError], name: str, count: int = 1) -> None:
    """At the door, and in a proposal: so no block has it, and it costs nobody anything."""
    kept = dict(rooms.sequences)
    raw = by_channel(rooms, name, *posts(rooms.address(name), count))
    rooms.sequences = kept
    answer = rooms.check(raw)
    assert (answer.code, answer.codespace) == (error.code, error.codespace), answer.log
    assert error.rule in rooms.propose(raw)


def next_day(rooms: Rooms) -> None:
    rooms.wait(DAY)


def recheck(rooms: Chain, raw: bytes) -> int:
    return rooms.app.check_tx(CheckTxRequest(raw, CheckTxType.RECHECK)).code
