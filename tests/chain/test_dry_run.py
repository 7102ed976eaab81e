"""What a transaction would do: as in the next block, signed or not, with a limit that is enough; and no trace of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.tx import errors as e
from chain.tx.envelope.build import Seat, Shared, build_body
from chain.tx.envelope.tx import TX_BYTES_MAX
from chain.tx.messages import (
    LANE_CHAT,
    CreateChannel,
    Message,
    Payment,
    PostMessage,
    RegisterIdentity,
    channel_id,
    encode_message,
)
from chain.tx.units import fee_of
from dchat.app.dry_run import DryRun
from proto.dchat.v1 import tx_pb2
from tests.support.chain.harness import CHAIN_ID, Chain, wallet
from tests.support.chain.keys import shared, signed

DCHAT = 10**6
BOARD = shared(2, "a", (2, "b c"), "d")
ROOM = channel_id("room")


@pytest.fixture
def chain() -> Chain:
    made = Chain({"ann": 100 * DCHAT, "bob": DCHAT, "poor": 30_000}, max_gas=10_000_000)
    ann = made.address("ann")
    for tx in (
        made.tx("ann", RegisterIdentity(ann, "ann", "")),
        made.tx("ann", CreateChannel(ann, "room", 0, "")),
        made.tx("ann", Payment(ann, BOARD.address, DCHAT)),
    ):
        assert made.block(tx).tx_results[0].code == 0
    return made


def run(chain: Chain, raw: bytes) -> DryRun:
    return chain.app.queries.dry_run(raw, height=chain.height, time_ns=chain.height * 10**9 + 1)


def unsigned(chain: Chain, account: Shared, *messages: Message, sequence: int | None = 0, **options: object) -> bytes:
    """Without a gas limit and a fee unless they are given."""
    options = {"gas_limit": 0, "expiry_height": chain.height + 10, **options}
    seat = Seat(account, sequence, with_policy=bool(options.pop("with_policy", False)))
    body = build_body(chain_id=CHAIN_ID, messages=messages, seats=[seat], **options)  # type: ignore[arg-type]
    return tx_pb2.Tx(body=body).SerializeToString(deterministic=True)


def alone(name: str) -> Shared:
    return Shared(wallet(name).policy)


ANN, BOB, ANEW = (wallet(name).address for name in ("ann", "bob", "nobody yet"))

CASES = {
    "a payment": (alone("ann"), "ann", 1, [Payment(ANN, BOB, 5)]),
    "a payment to nobody yet": (alone("ann"), "ann", 1, [Payment(ANN, ANEW, 5)]),
    "several keys": (BOARD, "a b c", 0, [Payment(BOARD.address, BOB, 5)]),
    "a message": (alone("ann"), "ann", 1, [PostMessage(ANN, ROOM, b"hello", 0)]),
    "a bundle": (alone("ann"), "ann", None, [Payment(ANN, BOB, 5), PostMessage(ANN, ROOM, b"x", 0)]),
}


@pytest.mark.parametrize(("account", "by", "sequence", "messages"), CASES.values(), ids=list(CASES))
def test_what_is_found_is_enough_and_what_becomes_of_it(
    chain: Chain, account: Shared, by: str, sequence: int | None, messages: list[Message]
) -> None:
    given = account is BOARD
    found = run(chain, unsigned(chain, account, *messages, sequence=sequence, with_policy=given))
    assert found.result.code == 0, found.result.log
    tx = signed(
        chain, account, by, *messages, sequence=sequence, with_policy=given, gas_limit=found.gas_limit, fee=found.fee
    )
    again = run(chain, tx)
    assert (again.result.code, again.gas_limit, again.fee) == (0, found.gas_limit, found.fee), again.result.log
    assert 0 < again.result.gas_used <= found.gas_limit <= 1.2 * again.result.gas_used
    assert found.fee == (0 if messages == CASES["a message"][3] else fee_of(found.gas_limit, chain.gas_price))
    done = chain.block(tx).tx_results[0]
    assert (done.code, done.gas_used, done.data) == (0, again.result.gas_used, again.result.data)
    assert done.events == again.result.events


@pytest.mark.parametrize(("make", "error"), [
    pytest.param(lambda c: unsigned(c, alone("ann"), Payment(ANN, BOB, 10**12), sequence=1), e.Overspend,
                 id="overspend"),
    pytest.param(lambda c: unsigned(c, alone("ann"), Payment(ANN, BOB, 1), sequence=7), e.WrongSequence, id="sequence"),
    pytest.param(lambda c: unsigned(c, alone("eve"), Payment(wallet("eve").address, BOB, 1)), e.UnknownAccount,
                 id="nobody"),
    pytest.param(lambda c: unsigned(c, BOARD, Payment(BOARD.address, BOB, 1)), e.PolicyMissing, id="no policy"),
    pytest.param(lambda c: unsigned(c, alone("poor"), Payment(wallet("poor").address, BOB, 29_999), with_policy=True),
                 e.Overspend, id="the fee comes first"),
    pytest.param(lambda c: unsigned(c, alone("poor"), Payment(wallet("poor").address, BOB, 1), with_policy=True,
                                    gas_limit=10**6, fee=100_000), e.FeeUnpayable, id="a fee above the balance"),
    pytest.param(lambda c: unsigned(c, alone("ann"), Payment(ANN, BOB, 1), sequence=1, gas_limit=9), e.GasLimitTooLow,
                 id="a limit that is too low"),
    pytest.param(lambda c: unsigned(c, alone("ann"), Payment(ANN, BOB, 1), sequence=1, gas_limit=10**9),
                 e.GasLimitTooHigh, id="a limit above a block's"),
    pytest.param(lambda c: signed(c, alone("ann"), "bob", Payment(ANN, BOB, 1), sequence=1, with_policy=False),
                 e.Unauthorised, id="signed by somebody else"),
    pytest.param(lambda c: signed(c, alone("ann"), "ann", Payment(ANN, BOB, 1), sequence=1)[:-1] + b"x",
                 e.BadSignature, id="a bad signature"),
    pytest.param(lambda c: b"\xff" * 40, e.Malformed, id="no protobuf"),
    pytest.param(lambda c: b"\x0a" * (TX_BYTES_MAX + 1), e.TooLarge, id="too large"),
    pytest.param(lambda c: b"", e.TooMany, id="nothing"),
])  # fmt: skip
def test_what_would_be_refused_is_told(chain: Chain, make: Callable[[Chain], bytes], error: type[e.TxError]) -> None:
    found = run(chain, make(chain))
    assert (found.result.code, found.result.codespace) == (error.code, error.codespace), found.result.log
    assert error.rule in found.result.log


def test_it_leaves_no_trace(chain: Chain) -> None:
    tx = signed(chain, alone("ann"), "ann", Payment(ANN, ANEW, 5), sequence=1)
    before = chain.app.stores.app_hash, len(chain.app._check), chain.app.txs.decoded, chain.balance("ann")
    assert run(chain, tx).result.code == 0
    assert (chain.app.stores.app_hash, len(chain.app._check), chain.app.txs.decoded, chain.balance("ann")) == before
    assert chain.check(tx).code == 0
    assert chain.block(tx).tx_results[0].code == 0
    chain.assert_invariants()


def test_many_signers_are_counted_before_any_is_looked_up(chain: Chain) -> None:
    body = tx_pb2.TxBody(chain_id=CHAIN_ID, lane=LANE_CHAT, messages=[encode_message(Payment(ANN, BOB, 1))])
    body.signers.extend([tx_pb2.Signer(address=ANN)] * 1_000)
    assert run(chain, tx_pb2.Tx(body=body.SerializeToString()).SerializeToString()).result.code == e.TooMany.code


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.integers(0, 10**6))
def test_hostile_bytes_are_answered(chain: Chain, change: bytes | int) -> None:
    if isinstance(change, bytes):
        raw = change
    else:
        whole = bytearray(unsigned(chain, BOARD, Payment(BOARD.address, BOB, 5), with_policy=True))
        whole[change % len(whole)] ^= 1 << change % 8
        raw = bytes(whole)
    found = run(chain, raw)
    assert found.result.code or found.gas_limit
