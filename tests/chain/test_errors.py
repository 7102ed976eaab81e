"""Every declared error: a transaction that causes it, and what that changes: nothing, or the fee and the mark alone.

SDK 2024-002: no proposal that we make or accept contains a transaction whose ante part fails.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.records import ESCROW_ADDRESS
from chain.app_state.document import BridgeGenesis, ChatGenesis
from chain.chat.ledger.records import IDENTITY, Allowance
from chain.currency.ledger.records import ACCOUNT, Account
from chain.tx import errors as e
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.build import Seat, build_body, sign_body
from chain.tx.envelope.tx import TX_BYTES_MAX, decode
from chain.tx.errors import TxError, declared_errors
from chain.tx.messages import (
    LANE_BRIDGE,
    LANE_CHAT,
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
from chain.tx.messages.keys import RotateKeys, prove_keys
from chain.tx.messages.upgrade import AnnounceReadiness, CancelUpgrade, SoftwareUpgrade
from consensus.mempool.admission.errors import Refusal
from dchat.client.refusals import CHAIN
from proto.dchat.v1 import tx_pb2
from tests.support.chain.harness import CHAIN_ID, Chain

ROOT = Path(__file__).parents[2]
DCHAT = 10**6
OPEN, PAID, NONE = channel_id("open"), channel_id("paid"), channel_id("none")
GAS_MAX = 10_000_000
# tests/chain/currency, tests/governance, tests/chain/chat/identities
ELSEWHERE = (
    "staking", "slashing", "distribution", "governance", "identity", "grants", "channels", "messages", "vesting",
    "denominations", "requests", "orders", "guardians", "allowance", "burners", "reputation",
)  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Chain:
    """ann and bob registered, carl not, dora nobody; ann owns `open` (with one message) and `paid`."""
    chain = Chain(
        {"ann": 100 * DCHAT, "bob": 50 * DCHAT, "carl": 50 * DCHAT, "poor": 10, "dora": 0, "rich": UINT64_MAX // 2},
        chat=ChatGenesis(message_bytes_max=1_000),
        bridge=BridgeGenesis(starter_messages=20, starter_bytes=40_000),
        max_gas=GAS_MAX,
        upgrade_authority="ann",
    )
    ann, bob = chain.address("ann"), chain.address("bob")
    for txs in (
        [chain.tx("ann", RegisterIdentity(ann, "ann", "")), chain.tx("bob", RegisterIdentity(bob, "bob", ""))],
        [chain.tx("ann", CreateChannel(ann, "open", 0, "")), chain.tx("ann", CreateChannel(ann, "paid", DCHAT, ""))],
        [chain.tx("ann", PostMessage(ann, OPEN, b"hello", 0))],
    ):
        assert all(result.code == 0 for result in chain.block(*txs).tx_results)
    return chain


Make = Callable[[Chain], bytes]


def pay(chain: Chain, amount: int = 1, sender: str = "ann", recipient: str = "bob") -> Payment:
    return Payment(chain.address(sender), chain.address(recipient), amount)


def payment(chain: Chain, sender: str = "ann", **options: object) -> bytes:
    return fresh(chain, sender, pay(chain, sender=sender), **options)


def fresh(chain: Chain, signers: str | tuple[str, ...], *messages: object, **options: object) -> bytes:
    """As Chain.tx, with the sequence that state has: none of these transactions is ever executed for good."""
    kept = dict(chain.sequences)
    tx = chain.tx(signers, *messages, **options)  # type: ignore[arg-type]
    chain.sequences = kept
    return tx


def edited(chain: Chain, change: Callable[[tx_pb2.TxBody], object]) -> bytes:
    """A payment whose body was changed before it was signed."""
    envelope = tx_pb2.Tx.FromString(payment(chain))
    body = tx_pb2.TxBody.FromString(envelope.body)
    change(body)
    return sign_body(body.SerializeToString(deterministic=True), [chain.wallets["ann"]])


def bad_signature(chain: Chain) -> bytes:
    envelope = tx_pb2.Tx.FromString(payment(chain))
    envelope.signatures[0].signature = bytes(64)
    return envelope.SerializeToString(deterministic=True)


def signed_by(chain: Chain, name: str) -> bytes:
    body = tx_pb2.Tx.FromString(payment(chain)).body
    return sign_body(body, [chain.wallets[name]])


def ann_post(chain: Chain, **fields: object) -> bytes:
    message = PostMessage(chain.address("ann"), OPEN, b"x", 0)._replace(**fields)  # type: ignore[arg-type]
    return fresh(chain, "ann", message)


def bridge(chain: Chain, who: str, make: Callable[[bytes], object], **options: object) -> bytes:
    return fresh(chain, who, make(chain.address(who)), **options)


def rotation(chain: Chain, address: bytes, to: str) -> RotateKeys:
    wallet = chain.wallets[to]
    return RotateKeys(address, wallet.policy, prove_keys([wallet.key], CHAIN_ID, address, wallet.policy))


def without_policy(chain: Chain) -> bytes:
    return payment(chain, "carl", with_policy=False)


def other_policy(chain: Chain) -> bytes:
    def change(body: tx_pb2.TxBody) -> None:
        body.signers[0].policy.ed25519 = chain.wallets["bob"].public_key

    return edited(chain, change)


ADMISSION: dict[type[TxError], Make] = {
    e.Malformed: lambda c: b"\xff" * 40,
    e.NotCanonical: lambda c: payment(c) + b"\x18\x01",
    e.TooLarge: lambda c: b"\x0a" * (TX_BYTES_MAX + 1),
    e.TooMany: lambda c: edited(c, lambda body: body.messages.extend([body.messages[0]] * 32)),
    e.InvalidField: lambda c: fresh(c, "ann", Payment(c.address("ann"), c.address("bob"), 0)),
    e.WrongChain: lambda c: payment(c, chain_id="another"),
    e.WrongLane: lambda c: payment(c, lane=LANE_CHAT, fee=0),
    e.SignersMismatch: lambda c: fresh(c, ("ann", "carl"), pay(c)),
    e.BadSignature: bad_signature,
    e.Unauthorised: lambda c: signed_by(c, "bob"),
    e.PolicyMissing: without_policy,
    e.PolicyMismatch: other_policy,
    e.WrongSequence: lambda c: payment(c, sequence=7),
    e.Expired: lambda c: payment(c, expiry_height=1),
    e.ExpiryTooFar: lambda c: fresh(c, "ann", pay(c), unordered=True, expiry_height=c.height + 10_000),
    e.GasLimitTooLow: lambda c: payment(c, gas_limit=10_000),
    e.GasLimitTooHigh: lambda c: payment(c, gas_limit=GAS_MAX + 1),
    e.KeyTypeNotAllowed: lambda c: fresh(
        c,
        "ann",
        AnnounceReadiness(c.address("ann"), bytes(1_952), ("spring",), "1.0", 100, bytes(3_309)),
        lane=LANE_BRIDGE,
    ),
    e.FeeTooLow: lambda c: payment(c, fee=1),
    e.FeeNotTaken: lambda c: fresh(c, "ann", PostMessage(c.address("ann"), OPEN, b"x", 0), fee=1),
    e.UnknownAccount: lambda c: payment(c, "dora"),
    e.FeeUnpayable: lambda c: payment(c, "poor"),
    e.UnknownIdentity: lambda c: fresh(c, "carl", JoinChannel(c.address("carl"), OPEN)),
    e.AllowanceExhausted: lambda c: fresh(c, "ann", *[PostMessage(c.address("ann"), OPEN, b"y" * 400, 0)] * 30),
}

EXECUTION: dict[type[TxError], Make] = {
    e.OutOfGas: lambda c: fresh(
        c, "carl", pay(c, sender="carl", recipient="dora"),
        gas_limit=decode(fresh(c, "carl", pay(c, sender="carl", recipient="dora"))).intrinsic_gas + 100,
    ),
    e.Overspend: lambda c: fresh(c, "ann", pay(c, 1000 * DCHAT)),
    e.RecipientRefused: lambda c: fresh(c, "ann", Payment(c.address("ann"), ESCROW_ADDRESS, 1)),
    e.IdentityExists: lambda c: bridge(c, "ann", lambda a: RegisterIdentity(a, "ann2", "")),
    e.NameTaken: lambda c: bridge(c, "carl", lambda a: RegisterIdentity(a, "ann", "")),
    e.UnknownChannel: lambda c: ann_post(c, channel_id=NONE),
    e.ChannelExists: lambda c: bridge(c, "bob", lambda a: CreateChannel(a, "open", 5, "")),
    e.AlreadyMember: lambda c: bridge(c, "ann", lambda a: JoinChannel(a, PAID)),
    e.NotMember: lambda c: bridge(c, "bob", lambda a: PostMessage(a, OPEN, b"x", 0)),
    e.PriceDue: lambda c: bridge(c, "bob", lambda a: JoinChannel(a, PAID)),
    e.MessageTooLong: lambda c: ann_post(c, content=b"x" * 1_001),
    e.UnknownMessage: lambda c: bridge(c, "bob", lambda a: Tip(a, OPEN, 1, 5)),
    e.PriceAboveMaximum: lambda c: bridge(c, "bob", lambda a: PayToJoin(a, PAID, DCHAT - 1)),
    e.BuysNothing: lambda c: bridge(c, "ann", lambda a: BuyAllowance(a, 1)),
    e.TipsOneself: lambda c: bridge(c, "ann", lambda a: Tip(a, OPEN, 0, 5)),
    e.PolicyUnchanged: lambda c: bridge(c, "ann", lambda a: rotation(c, a, "ann")),
    e.KeysNotPossessed: lambda c: bridge(c, "ann", lambda a: rotation(c, c.address("bob"), "bob")._replace(address=a)),
    e.NotUpgradeAuthority: lambda c: bridge(c, "bob", CancelUpgrade),
    e.PlanInThePast: lambda c: bridge(c, "ann", lambda a: SoftwareUpgrade(a, "v2", 1)),
    e.BadAnnouncement: lambda c: bridge(
        c, "ann", lambda a: AnnounceReadiness(a, c.wallets["bob"].public_key, ("v2",), "", 1_000, bytes(64))
    ),
    e.AnnouncementExpired: lambda c: bridge(
        c, "ann", lambda a: AnnounceReadiness(a, c.wallets["bob"].public_key, ("v2",), "", 1, bytes(64))
    ),
}  # fmt: skip

APART = {
    e.Replayed,
    e.AmountOverflow,
    e.UpgradeAlreadyDone,
    e.AnnouncerUnknown,
    e.NumberTooWide,
    e.RecordTooLarge,
    *[error for error in declared_errors() if 320 <= error.code < 350],
}  # tests of their own below, in test_records, in tests/chain/upgrade, or in tests/bridge/test_escrow.py


def test_every_error_is_here() -> None:
    own = {error for error in declared_errors() if error.codespace not in ELSEWHERE}
    assert {*ADMISSION, *EXECUTION, *APART} == own


def contents(chain: Chain) -> dict[tuple[str, bytes], bytes]:
    stores = chain.app.stores
    return {(store, key): value for store in ("bridge", "chat", "currency") for key, value in stores.scan(store)}


def changes(chain: Chain, tx: bytes) -> tuple[int, str, dict[tuple[str, bytes], bytes]]:
    """Decide a block with `tx` whatever a proposer may think of it: (code, log, what differs afterwards)."""
    before = contents(chain)
    (result,) = chain.block(tx, propose=False).tx_results
    after = contents(chain)
    chain.assert_invariants()
    assert all(at in after for at in before if at[0] != "bridge"), "only the bridge's receipts and marks may go"
    return result.code, result.log, {at: value for at, value in after.items() if before.get(at) != value}


@pytest.mark.parametrize(("error", "make"), ADMISSION.items(), ids=[error.__name__ for error in ADMISSION])
def test_refused_at_the_door_and_in_proposals(world: Chain, error: type[TxError], make: Make) -> None:
    tx = make(world)
    answer = world.check(tx)
    assert (answer.code, answer.codespace) == (error.code, error.codespace), answer.log
    assert error.rule in answer.log
    assert error.rule in world.propose(tx)
    good = payment(world, "rich")
    assert world.prepare(tx, good) == (good,)
    code, log, differing = changes(world, tx)
    assert (code, differing) == (error.code, {})
    assert error.rule in log


@pytest.mark.parametrize(("error", "make"), EXECUTION.items(), ids=[error.__name__ for error in EXECUTION])
def test_failed_in_a_block_keeps_fee_and_mark_alone(world: Chain, error: type[TxError], make: Make) -> None:
    tx = make(world)
    decoded = decode(tx)
    payer_key = ACCOUNT[1:] + decoded.payer
    before = Account.decode(contents(world)["currency", payer_key])
    code, log, differing = changes(world, tx)
    assert code == error.code, log
    assert error.rule in log
    kinds = {(store, key[:1]) for store, key in differing}
    if decoded.lane == LANE_CHAT:
        assert kinds == {("chat", IDENTITY[1:])}
    else:
        after = Account.decode(differing["currency", payer_key])
        assert after.balance == before.balance - decoded.fee
        allowed = {("currency", b"a"), ("currency", b"s"), ("bridge", b"e"), ("bridge", b"t"), ("bridge", b"r")}
        assert kinds <= allowed
        assert sum(key[:1] == b"a" for _, key in differing) == 1
    if not decoded.unordered:
        for name, wallet in world.wallets.items():
            if wallet.address == decoded.payer:
                lane = "chat" if decoded.lane == LANE_CHAT else "currency"
                world.sequences[name, lane] = decoded.signers[0].sequence + 1


def test_a_replay_is_refused_until_the_mark_is_gone_and_then_expired(world: Chain) -> None:
    tx = fresh(world, "rich", pay(world, sender="rich"), unordered=True, expiry_height=world.height + 3)
    assert world.check(tx).code == 0
    world.block(tx)
    for _ in range(2):
        assert world.check(tx).code == e.Replayed.code
        assert e.Replayed.rule in world.propose(tx)
        code, _, differing = changes(world, tx)
        assert (code, differing) == (e.Replayed.code, {})
    assert e.Expired.rule in world.propose(tx)
    assert world.check(tx).code == e.Expired.code


def test_one_block_holds_a_replay_once(world: Chain) -> None:
    tx = fresh(world, "rich", pay(world, sender="rich"), unordered=True, expiry_height=world.height + 1)
    assert e.Replayed.rule in world.propose(tx, tx)
    assert world.prepare(tx, tx) == (tx,)
    codes = [result.code for result in world.block(tx, tx, propose=False).tx_results]
    assert codes == [0, e.Replayed.code]


def test_amounts_beyond_64_bits() -> None:
    """SDK 2024-010: integers are of checked width."""
    chain = Chain({"ann": 10 * DCHAT, "bob": 1})
    chain.block(chain.tx("ann", RegisterIdentity(chain.address("ann"), "ann", "")))
    key = IDENTITY + chain.address("ann")
    identity = chain.app.base.get(key)
    full = Allowance(UINT64_MAX - 5, 1)
    chain.app.base.merge({key: identity.with_use((), full)})
    result = chain.block(chain.tx("ann", BuyAllowance(chain.address("ann"), DCHAT))).tx_results[0]
    assert result.code == e.AmountOverflow.code
    assert chain.app.base.get(key).allowance.messages == full.messages


def test_table_for_users_is_complete() -> None:
    """docs/errors.md names every error, with what a person is told, and nothing else."""
    table = (Path(__file__).parents[2] / "docs" / "errors.md").read_text().partition("## Rules of the chain")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [
        f"| {x.code} | {x.codespace} | {x.__name__} | {x.rule} | {CHAIN[x].wrong} | {CHAIN[x].todo} |"
        for x in declared_errors()
    ]


def named_in(path: Path) -> set[str]:
    """Names that stand in a module of tests, but for those that it lists as tested elsewhere."""
    tree = ast.parse(path.read_text())
    apart = {id(part) for node in tree.body if _is_apart(node) for part in ast.walk(node)}
    nodes = [node for node in ast.walk(tree) if id(node) not in apart]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {
        node.id for node in nodes if isinstance(node, ast.Name)
    }


def _is_apart(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("APART", "ELSEWHERE")


def test_every_refusal_has_a_test_that_names_it() -> None:
    """Of the chain and of the mempool, as docs/errors.md has them."""
    named = set().union(*map(named_in, Path(__file__).parents[1].rglob("test_*.py")))
    missing = {error.__name__ for error in declared_errors()} | {reason.name for reason in Refusal}
    assert missing - named == set(), "add a test that raises it"


def test_every_refusal_says_what_was_broken() -> None:
    """The rule alone reads as if all were well."""
    names, bare = {error.__name__ for error in declared_errors()}, []
    for path in [one for room in ("chain", "bridge", "governance") for one in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            raised = node.exc if isinstance(node, ast.Raise) else None
            made = raised.func if isinstance(raised, ast.Call) and not raised.args + raised.keywords else raised
            if isinstance(made, ast.Name | ast.Attribute) and ast.unparse(made).rpartition(".")[2] in names:
                bare.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(made)}")
    assert not bare


def test_numbers_are_unique_and_texts_are_there() -> None:
    declared = declared_errors()
    assert len({error.code for error in declared}) == len(declared)
    assert all(error.rule and error.codespace for error in declared)


def test_only_declared_errors_fail_a_transaction(monkeypatch: pytest.MonkeyPatch, world: Chain) -> None:
    """GHSA-qfc5-6r3j-jj22: what must not happen stops the node."""

    def broken(ctx: object, message: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(world.app.modules.handlers, Payment, broken)  # type: ignore[misc]
    with pytest.raises(ZeroDivisionError):
        world.propose(payment(world, "rich"))


def test_builder_makes_what_is_signed() -> None:
    """A body of two signers, one of whom pays."""
    chain = Chain({"ann": DCHAT, "bob": DCHAT})
    seats = [Seat(chain.wallets["ann"], 0, True), Seat(chain.wallets["bob"], 0, True)]
    body = build_body(
        chain_id=CHAIN_ID, messages=[pay(chain, 5)], seats=seats, gas_limit=60_000, fee=6_000, fee_payer=1
    )
    chain.block(sign_body(body, [chain.wallets["ann"], chain.wallets["bob"]]))
    assert (chain.balance("ann"), chain.balance("bob")) == (DCHAT - 5, DCHAT + 5 - 6_000)
    chain.assert_invariants()
