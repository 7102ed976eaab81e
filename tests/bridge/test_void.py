"""What an account gave others by a word (grants, authorisations, orders, offers), once guardians took it back from a
thief: void, on both chains, and shown as void (docs/identities.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.escrow_records import ESCROW
from bridge.guardian_records import GUARDIANS, Recovery
from bridge.guardians import recoveries_of
from chain.currency.ledger.records import ACCOUNT
from chain.currency.ledger.stake_records import WITHDRAW
from chain.tx import errors as e
from chain.tx.chat_errors import NotOffered
from chain.tx.messages import CreateChannel, JoinChannel, Payment, RegisterIdentity, channel_id
from chain.tx.messages.chat import AcceptChannel, OfferChannel
from chain.tx.messages.economy import SetWithdrawAddress
from chain.tx.messages.escrow import Attest, Attested, EscrowReference, OpenEscrow, ReleaseEscrow
from chain.tx.messages.governance import Vote
from chain.tx.messages.grants import Authorise, Exec, GrantFees, RevokeAuthorisation
from chain.tx.messages.guardians import ApproveRecovery, SetGuardians, StartRecovery
from chain.tx.messages.keys import prove_keys
from chain.tx.messages.payments import CancelStandingOrder, CreateStandingOrder
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.app.payment_queries import PaymentQueries
from dchat.cli.chat.channel_commands import OFFER_VOID
from dchat.cli.commands import query_commands
from dchat.cli.main import dchat
from dchat.client.client import Client
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2
from tests.support.chain.guarded import DCHAT, DELAY_S, Guarded
from tests.support.chain.harness import CHAIN_ID, wallet
from tests.support.chain.keys import rotation


class Robbed(Guarded):
    """The thief has ann's keys, and gives eve all that is given by a word; then ben and cid recover the account."""

    def __init__(self) -> None:
        super().__init__()
        self.eve = self.address("eve")
        soon = self.time_of(1) + 10**18
        self.good("ann", CreateChannel(self.ann, "den", 0, ""))
        self.den = channel_id("den")
        self.good("eve", RegisterIdentity(self.eve, "eve", ""))
        self.good("eve", JoinChannel(self.eve, self.den))
        self.good(
            "ann",
            Authorise(self.ann, self.eve, "payment", soon, 500 * DCHAT),
            Authorise(self.ann, self.eve, "vote", soon),
            GrantFees(self.ann, self.eve, 500 * DCHAT, soon), OfferChannel(self.ann, self.den, self.eve),
            SetWithdrawAddress(self.ann, self.eve),
            CreateStandingOrder(self.ann, "rent", self.eve, None, 10 * DCHAT, 1_000, times=3),
            CreateStandingOrder(self.ann, "tea", self.eve, None, 10 * DCHAT, 10, times=3),
        )  # fmt: skip
        self.given = self.height

    def recover(self) -> None:
        recovery = self.good("ben", self.start("ben"))
        self.good("cid", self.approve("cid", recovery))
        self.wait(2 * DELAY_S)
        self.wait(30)
        assert self.policies == {wallet("new").policy}
        self.me = wallet("new")

    def granted(self) -> bytes:
        """Paid by ann's grant."""
        pays = Payment(self.eve, self.address("bob"), 1)
        return self.tx("eve", pays, memo=str(self.height), lane=3, fee_granter=self.ann)


def test_what_the_old_keys_gave_is_void_after_a_recovery() -> None:
    """audit 35: a thief let another account pay for him, and that outlived the recovery."""
    chain = Robbed()
    assert chain.run("eve", Exec(chain.eve, chain.ann, (Payment(chain.ann, chain.eve, 1),))).code == 0
    assert chain.take(chain.granted()).code == 0
    assert chain.check(chain.granted()).code == 0
    chain.recover()
    ann = chain.balance("ann")
    for message in (Payment(chain.ann, chain.eve, 400 * DCHAT), Vote(chain.ann, 1, 1)):
        answer = chain.run("eve", Exec(chain.eve, chain.ann, (message,)))
        assert (answer.code, answer.log.endswith("before the account was recovered")) == (e.NoAuthorisation.code, True)
    assert chain.check(chain.granted()).code == e.NoFeeGrant.code
    assert "from before the granter was recovered" in chain.propose(chain.granted())
    chain.refused("eve", AcceptChannel(chain.eve, chain.den), by=NotOffered)
    chain.wait(12 * 60)
    assert chain.balance("ann") == ann, "no fee, no order, no word of the old keys takes anything"
    assert chain.app.base.get(WITHDRAW + chain.ann) is None


def test_it_is_shown_as_void_and_an_order_ends_at_its_turn() -> None:
    chain = Robbed()
    asked = PaymentQueries(chain.app.queries)

    def shown() -> dict[str, list[bool]]:
        """By what it is: whether each is void."""
        return {
            "grants": [one.void for one in asked.fee_grants(granter=chain.ann).grants],
            "let": [one.void for one in asked.authorisations(grantee=chain.eve).authorisations],
            "orders": [one.void for one in asked.orders(owner=chain.ann).orders],
        }

    assert shown() == {"grants": [False], "let": [False, False], "orders": [False, False]}
    chain.recover()
    assert shown() == {"grants": [True], "let": [True, True], "orders": [True]}, "tea has had its turn"
    while chain.height < chain.given + 1_000:
        chain.block()
    chain.assert_invariants()
    assert shown()["orders"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("fee-grant", "ann", "eve"),
        ("authorisation", "ann", "eve", "payment"),
        ("order", "ann", "rent"),
        ("channel", "den"),
    ],
    ids=lambda words: str(words[0]),
)
def test_one_alone_is_shown_as_void_with_why(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where errors 240 and NotOffered send people: before, only the lists said it, and of an offer nothing."""
    chain = Robbed()

    class Asked(Client):
        async def stored(self, store: str, key: bytes, *, height: int = 0, prove: bool = False) -> pb.GetRecordResponse:
            found = chain.app.queries.get(store, key, height=height)
            return pb.GetRecordResponse(height=found.height, value=found.value)

        async def channel(self, channel_id: bytes = b"", **how: Any) -> pb.GetChannelResponse:
            found = chain.app.queries.channel(channel_id)
            return pb.GetChannelResponse(height=found.height, channel=state_pb2.Channel.FromString(found.value or b""))

    async def work(look: Callable[[Client], Awaitable[pb.GetRecordResponse]]) -> pb.GetRecordResponse:
        async with Asked("127.0.0.1:1") as client:
            return await look(client)

    monkeypatch.setattr(query_commands, "run", lambda look, node: asyncio.run(work(look)))
    names = {"ann": encode_address(chain.ann), "eve": encode_address(chain.eve)}
    line = ["query", *(names.get(word, word) for word in words)]

    def asked() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(CliRunner().invoke(dchat, line, prog_name="dchat").stdout)
        found: dict[str, Any] = told["value"] if "value" in told else told["channel"]["settings"]["offer"]
        return found

    told = asked()
    assert (told["void"], "why" in told) == (False, False)
    chain.recover()
    told = asked()
    assert (told["void"], told["why"]) == (True, OFFER_VOID if words[0] == "channel" else query_commands.VOID)


def test_the_owner_gives_anew_and_takes_back_what_is_void() -> None:
    chain = Robbed()
    chain.recover()
    soon = chain.time_of(1) + 2 * 10**18
    chain.good(
        "ann",
        Authorise(chain.ann, chain.eve, "payment", soon, 5 * DCHAT),
        RevokeAuthorisation(chain.ann, chain.eve, "vote"),
        GrantFees(chain.ann, chain.eve, 5 * DCHAT, soon),
        OfferChannel(chain.ann, chain.den, chain.eve),
        CreateStandingOrder(chain.ann, "rent", chain.eve, None, DCHAT, 10, times=1),
        CreateStandingOrder(chain.ann, "milk", chain.eve, None, DCHAT, 10, times=1),
        CancelStandingOrder(chain.ann, "milk"),
    )  # fmt: skip
    assert chain.run("eve", Exec(chain.eve, chain.ann, (Payment(chain.ann, chain.eve, 5 * DCHAT),))).code == 0
    assert chain.take(chain.granted()).code == 0
    eve = chain.balance("eve")
    for _ in range(10):
        chain.take_empty()
    assert chain.balance("eve") == eve + DCHAT
    chain.good("eve", AcceptChannel(chain.eve, chain.den))


def test_a_change_of_keys_alone_voids_nothing() -> None:
    """Whoever makes it has the keys, and takes back what he wants to."""
    chain = Robbed()
    chain.good("ann", rotation(chain.ann, wallet("new").policy, ["new"]))
    chain.me = wallet("new")
    assert chain.run("eve", Exec(chain.eve, chain.ann, (Payment(chain.ann, chain.eve, 1),))).code == 0
    assert chain.take(chain.granted()).code == 0


# ------------------------------------------------------------------------------ what others go by

STATEMENT = sha256(b"the goods have arrived")


class Trusted(Robbed):
    """Others go by ann's word, and the thief has said it: an attestation, and what a party would have paid."""

    def __init__(self) -> None:
        super().__init__()
        self.bob, self.dan = self.address("bob"), self.address("dan")
        deadline = self.time_of(1) + 10**18 // 100
        to_eve = OpenEscrow(self.bob, self.eve, DCHAT, deadline)
        attested = to_eve._replace(conditions=(Attested(self.ann, STATEMENT),))
        by_two = to_eve._replace(parties=tuple(sorted((self.ann, self.dan))), threshold=2)
        self.attested = EscrowReference(self.good("bob", attested))
        self.by_two = EscrowReference(self.good("bob", by_two))
        self.good("ann", Attest(self.ann, STATEMENT, deadline), ReleaseEscrow(self.ann, self.by_two))
        self.deadline = deadline

    def left(self, at: EscrowReference) -> bool:
        return self.app.base.get(ESCROW + at.id) is not None


def test_what_the_thief_attested_releases_nothing_after_a_recovery() -> None:
    """audit 45"""
    chain = Trusted()
    chain.recover()
    chain.refused("eve", ReleaseEscrow(chain.eve, chain.attested), by=e.ConditionFails)
    assert chain.left(chain.attested)
    chain.good("ann", Attest(chain.ann, STATEMENT, chain.deadline))
    chain.good("eve", ReleaseEscrow(chain.eve, chain.attested))
    assert not chain.left(chain.attested)


def test_the_thiefs_word_as_a_party_does_not_count_after_a_recovery() -> None:
    """audit 45"""
    chain = Trusted()
    chain.recover()
    chain.good("dan", ReleaseEscrow(chain.dan, chain.by_two))
    assert chain.left(chain.by_two), "his word alone"
    chain.good("ann", ReleaseEscrow(chain.ann, chain.by_two))
    assert not chain.left(chain.by_two)


class Guarding(Robbed):
    """ann and dan are the guardians of bob; the thief approves in ann's name."""

    def __init__(self, delay_s: int) -> None:
        super().__init__()
        self.bob, self.dan = self.address("bob"), self.address("dan")
        two = tuple(sorted((self.ann, self.dan)))
        self.good("bob", RegisterIdentity(self.bob, "bob", ""), SetGuardians(self.bob, two, 2, delay_s))
        policy = wallet("theirs").policy
        proofs = prove_keys([wallet("theirs").key], CHAIN_ID, self.bob, policy)
        self.recovery = self.good("ann", StartRecovery(self.ann, self.bob, policy, proofs))

    def approved(self, by: bytes) -> ApproveRecovery:
        return ApproveRecovery(by, self.bob, self.recovery)

    @property
    def waiting(self) -> Recovery | None:
        return next(iter(recoveries_of(self.app.base, self.bob)), None)

    @property
    def is_bobs(self) -> bool:
        return self.app.base.get(ACCOUNT + self.bob).policy == wallet("bob").policy


def test_what_the_thief_approved_as_a_guardian_does_not_count_after_a_recovery() -> None:
    """audit 45"""
    chain = Guarding(40 * DELAY_S)
    chain.recover()
    chain.good("dan", chain.approved(chain.dan))
    assert chain.waiting is not None
    assert not chain.waiting.agreed_height, "one of two"
    chain.good("ann", chain.approved(chain.ann))
    assert chain.waiting.agreed_height, "by the keys of now she may say the same"


def test_a_recovery_that_was_agreed_on_by_the_thiefs_word_is_not_carried_out_after_a_recovery() -> None:
    """audit 45"""
    chain = Guarding(40 * DELAY_S)
    chain.good("dan", chain.approved(chain.dan))
    assert chain.waiting is not None
    assert chain.waiting.agreed_height
    others = SetGuardians(chain.bob, (chain.eve,), 1, DELAY_S)
    chain.good("bob", others)
    chain.recover()
    chain.wait(41 * DELAY_S)
    assert chain.waiting is None, "it lapsed"
    assert chain.is_bobs
    record = chain.app.base.get(GUARDIANS + chain.bob)
    assert (record.terms.guardians, record.pending) == ((chain.eve,), None), "what it held back holds"
