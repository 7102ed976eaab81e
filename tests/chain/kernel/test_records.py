"""What is stored is what was held: every record of every machine, at the extremes of every number in it.

The records are found through the application's own decoders, so that a new one is tested without being named here.
"""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.escrow_records import EscrowTotals
from bridge.records import Totals
from chain.app_state.economy import InvalidAppState
from chain.currency.ledger.records import Account, Supply
from chain.currency.ledger.stake_records import Minter, Pulse
from chain.kernel.branch import RECORD_BYTES_MAX, Branch, Key, check_records
from chain.kernel.execution import TIME_NS_MAX
from chain.kernel.items import FailedItems
from chain.state.mmr import Range
from chain.state.store import Stores
from chain.tx.codec import UINT64_MAX, height_bytes, uint_field, varint
from chain.tx.errors import InvalidField, NumberTooWide, RecordTooLarge, TxError
from chain.tx.messages import (
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from chain.tx.messages.escrow import BalanceAtLeast, MemberOf, Posted, TimeFrom
from chain.tx.messages.governance import AddDeposit, ChangeParams, ParamChange, SpendTreasury, SubmitProposal
from chain.tx.messages.payments import SUB_BYTES_MAX, Denom
from chain.tx.messages.upgrade import POSTPONE_BLOCKS_MAX, SoftwareUpgrade, check_plan
from chain.tx.policies import single_key_policy
from dchat.app.app import DchatApplication
from dchat.app.composition import compose
from proto.dchat.v1 import state_pb2
from tests.support.chain.harness import Chain, drain
from tests.support.counts import counted
from tests.support.economy.world import World

DCHAT = 10**6
INNER = ("Allowance",)  # parts of records with an `encode` of their own
REFUSALS = (NumberTooWide, ValueError, OverflowError)  # ours; the generated classes'; `int.to_bytes`
EXTREMES = (0, 1, 127, 2**31 - 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, UINT64_MAX, UINT64_MAX + 1, 2**64 + 5, 10**40, -1)
SMALL = (0, 1, 2, 127, 128, 2**31 - 1)
FLOWS = {(Totals, "udchat_tipped"), (Totals, "udchat_joins"), (Minter, "minted"), (Minter, "burned"),
         (Pulse, "minted"), (Pulse, "burned"), (EscrowTotals, "released"), (EscrowTotals, "given_back"),
         (EscrowTotals, "refunded")}  # fmt: skip


def classes() -> dict[str, type[Any]]:
    """name -> the class whose `decode` the application uses."""
    found: dict[str, type[Any]] = {}
    for decode in compose().decoders.values():
        name = decode.__qualname__.split(".")[0]
        kind = getattr(importlib.import_module(decode.__module__), name)
        if kind.__module__.split(".")[0] in ("chain", "bridge", "governance"):
            found[name] = kind
    return found


RECORDS = classes()
# Drawn emptier than they are: each holds its address or id, a height, a hash, or is stored as nothing when it is none.
NEVER_EMPTY = {"Account", "Channel", "Identity", "Marks", "Membership", "MessageState"}
OPTIONS = st.sampled_from([((1, 10**18),), ((1, 5 * 10**17), (3, 5 * 10**17))])
ACTIONS = st.sampled_from([
    (), (ChangeParams((ParamChange("block", "max_gas", "9" * 19),)),), (SpendTreasury(bytes(20), UINT64_MAX),),
])  # fmt: skip

CONDITIONS = st.lists(st.sampled_from([
    MemberOf(b"c" * 20, b"a" * 20), Posted(b"c" * 20, b"", bytes(32)), TimeFrom(UINT64_MAX),
    BalanceAtLeast(b"a" * 20, 1),
]), max_size=4).map(tuple)  # fmt: skip


def record(kind: type[Any], ints: tuple[int, ...]) -> st.SearchStrategy[Any]:
    hints = fields_of(kind)
    return st.builds(kind, **{name: value(kind, name, hint, ints) for name, hint in hints.items()})


def fields_of(kind: type[Any]) -> Mapping[str, Any]:
    named = hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__")
    hints = dict(typing.get_type_hints(kind if named else kind.__init__))
    hints.pop("return", None)
    return hints


def value(kind: type[Any], name: str, hint: Any, ints: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """By the field's declared type; what has a form of its own first."""
    special: dict[str, st.SearchStrategy[Any]] = {
        "policy": st.just(single_key_policy(b"k" * 32)),
        "range": st.integers(0, 9).map(lambda count: Range().append([bytes([n]) for n in range(count)])[0]),
        "actions": ACTIONS, "options": OPTIONS, "conditions": CONDITIONS, "address": st.just(b"a" * 20),
        "denom": st.sampled_from([None, Denom(b"a" * 20, "s" * SUB_BYTES_MAX)]),
        "addresses": st.lists(st.binary(min_size=20, max_size=20), max_size=3, unique=True),
    }  # fmt: skip
    if name in special:
        return special[name]
    return of_type(hint, ints)


def of_type(hint: Any, ints: tuple[int, ...]) -> st.SearchStrategy[Any]:
    if hint is int:
        return st.sampled_from(ints)
    if hint is bool:
        return st.booleans()
    if hint is bytes:
        return st.sampled_from([b"", b"\0", b"x" * 20, b"y" * 300])
    if hint is str:
        return st.sampled_from(["", "a", "ä" * 9])
    args = get_args(hint)
    if get_origin(hint) is tuple:
        if args[-1] is Ellipsis:
            return st.lists(of_type(args[0], ints), max_size=3).map(tuple)
        return st.tuples(*[of_type(arg, ints) for arg in args])
    if type(None) in args:
        return st.one_of(st.none(), of_type(next(arg for arg in args if arg is not type(None)), ints))
    if args:  # a sequence
        return st.lists(of_type(args[0], ints), max_size=3).map(tuple)
    return record(hint, ints)


def plain(value: Any) -> Any:
    """For comparing: records without equality of their own as their fields."""
    if isinstance(value, (tuple, list)):
        return tuple(plain(one) for one in value)
    if hasattr(value, "encode") and not isinstance(value, str):
        return {name: plain(getattr(value, name)) for name in fields_of(type(value))}
    return value


@pytest.mark.parametrize("name", sorted(RECORDS))
@settings(max_examples=counted(25, whole=120), deadline=None)
@given(data=st.data())
def test_a_record_is_stored_as_it_is_held_or_refused(name: str, data: st.DataObject) -> None:
    """audit 15; SDK 2024-010: never another number than the one that was written."""
    held = data.draw(record(RECORDS[name], EXTREMES))
    try:
        stored = held.encode()
    except REFUSALS:
        with pytest.raises(NumberTooWide):  # and asked as blocks ask, by the declared error
            check_records({b"k": held})
        return
    assert plain(RECORDS[name].decode(stored)) == plain(held)
    if len(stored) in range(1, RECORD_BYTES_MAX + 1):
        check_records({b"k": held})


@pytest.mark.parametrize("name", sorted(RECORDS))
@settings(max_examples=counted(15, whole=60), deadline=None)
@given(data=st.data())
def test_what_fits_is_never_refused(name: str, data: st.DataObject) -> None:
    held = data.draw(record(RECORDS[name], SMALL))
    stored = held.encode()
    assert plain(RECORDS[name].decode(stored)) == plain(held)
    if name not in NEVER_EMPTY:  # no store takes an empty value, and `fits` lets it be written
        assert stored or not hasattr(held, "fits")


def test_all_machines_records_are_here() -> None:
    assert {"Account", "Supply", "Identity", "Channel", "Totals", "Validator", "Pulse", "Proposal", "Tally"} <= (
        RECORDS.keys() | {"Pulse"}
    )
    assert len(RECORDS) > 35, sorted(RECORDS)


@pytest.mark.parametrize(("kind", "field"), sorted(FLOWS, key=str))
def test_flows_have_no_width(kind: type[Any], field: str) -> None:
    """audit 15: what no supply bounds is kept whole."""
    if kind is Pulse:
        found = Pulse(**{field: 2**64 + 5})
        assert Pulse.of(state_pb2.Pulse.FromString(found.encode())) == found
        return
    made = Minter(0, 0, 0) if kind is Minter else kind()
    found = made._replace(**{field: 2**64 + 5})
    assert kind.decode(found.encode()) == found


@pytest.mark.parametrize("number", [-1, -(2**63), 2**64, 2**64 + 5, 10**40])
def test_no_field_takes_what_it_cannot_hold(number: int) -> None:
    """audit 15: refused where it is written."""
    for write in (varint, lambda n: uint_field(b"\x08", n)):
        with pytest.raises(NumberTooWide):
            write(number)
    with pytest.raises(OverflowError):
        height_bytes(number)


# ------------------------------------------------------------------------------ through blocks


def test_tips_in_circles_do_not_part_who_restarted_from_who_did_not() -> None:
    """audit 15: a total past 2^64 is the same on a node that restarts: some thousand tips of one sum could do it."""
    big = 2**62
    chains = [tipping(big), tipping(big)]
    for turn in range(6):
        for chain in chains:
            sender = ("ann", "bob")[turn % 2]
            tip = Tip(chain.address(sender), channel_id("room"), 1 - turn % 2, big)
            (result,) = chain.block(chain.tx(sender, tip)).tx_results
            assert result.code == 0, result.log
        assert chains[0].app.queries.bridge_totals()["udchat_tipped"] == (turn + 1) * big
        chains[1].restart()
        assert chains[1].app.queries.bridge_totals() == chains[0].app.queries.bridge_totals()
    assert chains[0].app.stores.app_hash == chains[1].app.stores.app_hash


def tipping(big: int) -> Chain:
    """ann and bob with a message each in one channel; both have more than `big`."""
    chain = Chain({"ann": big + 10**9, "bob": big + 10**9})
    ann, bob = chain.address("ann"), chain.address("bob")
    for txs in (
        [chain.tx("ann", RegisterIdentity(ann, "ann", "")), chain.tx("bob", RegisterIdentity(bob, "bob", ""))],
        [chain.tx("ann", CreateChannel(ann, "room", 0, ""))],
        [chain.tx("bob", JoinChannel(bob, channel_id("room")))],
        [chain.tx("ann", PostMessage(ann, channel_id("room"), b"hi", 0))],
        [chain.tx("bob", PostMessage(bob, channel_id("room"), b"ho", 0))],
    ):
        assert all(result.code == 0 for result in chain.block(*txs).tx_results)
    return chain


def test_paid_joins_in_circles() -> None:
    """audit 15: the other flow: each of two owns priced channels, and the same money pays for joining them."""
    price = 2**63
    chain = Chain({"ann": price + 10**9, "bob": 10**9})
    ann, bob = chain.address("ann"), chain.address("bob")
    chain.block(chain.tx("ann", RegisterIdentity(ann, "ann", "")), chain.tx("bob", RegisterIdentity(bob, "bob", "")))
    for n in range(2):
        chain.block(chain.tx("bob", CreateChannel(bob, f"b{n}", price, "")))
        chain.block(chain.tx("ann", CreateChannel(ann, f"a{n}", price, "")))
    for n in range(2):
        for who, whose in (("ann", "b"), ("bob", "a")):
            join = PayToJoin(chain.address(who), channel_id(f"{whose}{n}"), price)
            (result,) = chain.block(chain.tx(who, join)).tx_results
            assert result.code == 0, result.log
    assert chain.app.queries.bridge_totals()["udchat_joins"] == 4 * price > UINT64_MAX
    chain.restart()
    assert chain.app.queries.bridge_totals()["udchat_joins"] == 4 * price
    chain.assert_invariants()


def broken(ctx: Any, message: Any) -> None:
    ctx.branch.set(b"ua" + b"z" * 20, Account(b"z" * 20, UINT64_MAX + 6))


def huge(ctx: Any, message: Any) -> None:
    ctx.branch.set(b"uz", b"z" * (RECORD_BYTES_MAX + 1))


@pytest.mark.parametrize(("handler", "error"), [(broken, NumberTooWide), (huge, RecordTooLarge)])
def test_a_record_that_cannot_be_stored_fails_its_transaction(
    handler: Callable[[Any, Any], None], error: type[TxError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 15; SDK 2024-010: whatever rule was forgotten, it costs that transaction and not the chain."""
    chain = Chain({"ann": 10 * DCHAT, "bob": DCHAT})
    monkeypatch.setitem(chain.app.modules.handlers, Payment, handler)  # type: ignore[misc]
    (result,) = chain.block(chain.tx("ann", Payment(chain.address("ann"), chain.address("bob"), 1))).tx_results
    assert (result.code, result.codespace) == (error.code, error.codespace), result.log
    assert chain.app.base.get(b"ua" + b"z" * 20) is None
    chain.assert_invariants()


@pytest.mark.parametrize(("bad", "error"), [
    pytest.param(Supply(UINT64_MAX + 1, 0), NumberTooWide, id="a number"),
    pytest.param(Minter(2**64, 0, 0), NumberTooWide, id="a number of a generated class"),
    pytest.param(b"", RecordTooLarge, id="nothing"),
    pytest.param(b"x" * (RECORD_BYTES_MAX + 1), RecordTooLarge, id="too much"),
])  # fmt: skip
def test_a_record_that_cannot_be_stored_fails_its_item(bad: Any, error: type[TxError]) -> None:
    """audit 15; ISA-2025-002: nothing at the end of a block may stop the chain."""
    failed, branch = FailedItems(b"uF"), Branch(lambda key: None)
    done = drain(failed.run(branch, lambda over: over.set(b"us", bad), queue=b"Uq", item=b"i", height=7))
    assert not done
    assert branch.get(b"us") is None
    assert branch.get(b"uF" + b"Uq" + b"i").code == error.code


YEAR_9999_NS = 253_402_300_799 * 10**9 + 999_999_999


@pytest.mark.parametrize("time_ns", [-62_135_596_800 * 10**9, -1, TIME_NS_MAX + 1, 2**63, 2**64, YEAR_9999_NS])
def test_no_time_of_a_block_stops_the_machines(time_ns: int) -> None:
    """audit 15: keys and fields of times have 64 bits; a time from outside is brought into them."""
    chain = Chain({"ann": 100 * DCHAT})
    ann = chain.address("ann")
    chain.block(chain.tx("ann", RegisterIdentity(ann, "ann", "")))
    proposal = SubmitProposal(ann, "t", "", False, 10 * DCHAT, ())
    txs = (
        chain.tx("ann", CreateChannel(ann, "room", 0, "")),
        chain.tx("ann", PostMessage(ann, channel_id("room"), b"x", 0)),
        chain.tx("ann", proposal, AddDeposit(ann, 1, DCHAT)),
    )
    request = replace(chain.request(txs), time_ns=time_ns)
    response = drain(chain.app.finalize_block(request))
    chain.app.commit()
    assert [result.code for result in response.tx_results] == [0, 0, 0]
    again = DchatApplication(Stores(chain.db))
    assert again.stores.app_hash == chain.app.stores.app_hash
    (message,) = chain.app.queries.messages(channel_id("room"), start=0, limit=1)[1]
    stored = state_pb2.ChatMessage.FromString(message.value)
    assert stored.time_ns == min(max(time_ns, 0), TIME_NS_MAX)


def test_a_genesis_is_no_richer_than_a_record() -> None:
    """audit 15: balances and stakes were bounded apart, and their sum is one number."""
    assert World({"v1": 2**63}, {"ann": 2**63 - 1}).app.base.get(b"us").total == UINT64_MAX
    with pytest.raises(InvalidAppState, match="together"):
        World({"v1": 2**63}, {"ann": 2**63})


@pytest.mark.parametrize("blocks", [0, POSTPONE_BLOCKS_MAX + 1, 2**63 - 1])
def test_no_plan_is_postponed_beyond_all_heights(blocks: int) -> None:
    """audit 15: put off by 2^63 - 1 blocks, twice, its height was one that no record holds, at the end of a block."""
    plan = SoftwareUpgrade(bytes(20), "v2", 2**63 - 1, ready_share_permyriad=1, postpone_blocks=POSTPONE_BLOCKS_MAX)
    check_plan(plan)
    with pytest.raises(InvalidField):
        check_plan(plan._replace(postpone_blocks=blocks))


def test_a_key_that_names_a_record_reads_it_decoded() -> None:
    """What the type checker believes of a key is what the application's decoders do."""
    keys = {
        (bytes(item), item.record)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("bridge", "chain", "governance")
        for item in vars(module).values()
        if isinstance(item, Key)
    }
    decoders = compose().decoders
    assert len(keys) > 30
    for prefix, kind in keys:
        assert decoders.get(prefix) == (None if kind is bytes else kind.decode), prefix
