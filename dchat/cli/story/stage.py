"""Who acts in the story, and how what they do is signed, sent, counted and told."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from chain.tx.envelope.build import Shared, Wallet, sign_body
from chain.tx.messages import LANE_BRIDGE, Message, kinds_of
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from consensus.formats.units import NS_PER_S
from crypto.keys import PrivKey
from dchat.client.client import Client
from dchat.client.wallet import Outcome, Session, decoded
from proto.dchat.v1 import tx_pb2

HOUR_S: Final = 3_600


@dataclass
class Person:
    """One key, or a phone's that signs for another's account. elsewhere: others sign with it too, meanwhile: what it
    does here takes no sequence."""

    name: str
    wallet: Wallet
    session: Session
    elsewhere: bool = False

    @property
    def address(self) -> bytes:
        return self.wallet.address


@dataclass
class Team:
    """An account of several keys, of which some sign."""

    name: str
    account: Shared
    session: Session

    @property
    def address(self) -> bytes:
        return self.account.address


class Backstage(NamedTuple):
    """What the network's folder on this machine holds beside the house's account: the keys of a validator, and accounts
    with money. may_plan: whether the house may plan upgrades."""

    operator: Wallet
    validator_key: PrivKey
    purses: tuple[Wallet, ...]
    may_plan: bool


@dataclass
class Told:
    """A line of the story. heights: of the blocks that hold what it tells; none: it tells what was found."""

    text: str
    heights: list[int]


@dataclass
class Story:
    """house: who pays for everything. operators: of the chain's validators. tag: in every name, so that the story can
    be told again on the same chain. say: hands on each line as it is told."""

    client: Client
    chain_id: str
    house: Person
    operators: Sequence[bytes]
    tag: str
    say: Callable[[Told], None]
    backstage: Backstage
    people: dict[str, Person] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)  # what an act leaves to later ones
    sent: list[Outcome] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    _since: int = 0

    @staticmethod
    def begin(
        client: Client, chain_id: str, house: Wallet, operators: Sequence[bytes], say: Callable[[Told], None],
        backstage: Backstage,
    ) -> Story:  # fmt: skip
        payer = Person("The house", house, Session(client, house, chain_id=chain_id), elsewhere=True)
        story = Story(client, chain_id, payer, operators, secrets.token_hex(2), say, backstage)
        for name in ("Ada", "Ben", "Cleo", "Dan", "Eve"):
            story.people[name] = story.person(name, Wallet.from_seed(secrets.token_bytes(32)))
        return story

    def person(self, name: str, wallet: Wallet, *, elsewhere: bool = False) -> Person:
        return Person(name, wallet, Session(self.client, wallet, chain_id=self.chain_id), elsewhere)

    def team(self, name: str, account: Shared) -> Team:
        return Team(name, account, Session(self.client, account, chain_id=self.chain_id))

    def named(self, *names: str) -> list[Person]:
        return [self.people[name] for name in names]

    @staticmethod
    def in_an_hour() -> int:
        """Block time in ns, by this machine's clock."""
        return time.time_ns() + HOUR_S * NS_PER_S

    # ------------------------------------------------------------------ what is done

    async def do(self, who: Person, *messages: Message, fee_granter: bytes = b"") -> Outcome:
        memo = self.tag if who.elsewhere else ""  # the same of two stories is meant twice
        outcome = await who.session.send(messages, fee_granter=fee_granter, unordered=who.elsewhere, memo=memo)
        return self._done(outcome, messages)

    async def do_by(self, team: Team, holders: Sequence[Person], *messages: Message) -> Outcome:
        """By an account of several keys."""
        raw = await team.session.build(messages, unordered=True)
        return await self._signed(team.session, raw, [[one.wallet for one in holders]], messages)

    async def together(self, people: Sequence[Person], *messages: Message) -> Outcome:
        """One bundle that all of them sign; the first pays its fee."""
        first, *others = people
        seats = [Shared(one.wallet.policy, address=one.address) for one in others]
        raw = await first.session.build(messages, lane=LANE_BRIDGE, others=seats)
        return await self._signed(first.session, raw, [one.wallet for one in people], messages)

    async def _signed(
        self, session: Session, raw: bytes, signers: Sequence[Wallet | Sequence[Wallet]], messages: Sequence[Message]
    ) -> Outcome:
        signed = sign_body(tx_pb2.Tx.FromString(raw).body, signers)
        return self._done(await session.hand_in(decoded(signed)), messages)

    def _done(self, outcome: Outcome, messages: Sequence[Message]) -> Outcome:
        self.sent.append(outcome)
        for message in messages:
            self.kinds.update(kind.name for kind, _ in kinds_of(message))
        return outcome

    # ------------------------------------------------------------------ what is told

    def tell(self, text: str) -> None:
        """With the blocks of what was done since the last line."""
        heights = sorted({outcome.height for outcome in self.sent[self._since :]})
        self._since = len(self.sent)
        self.say(Told(text, heights))

    async def balance(self, who: Person | Team) -> int:
        """udchat."""
        return (await self.client.account(who.address)).account.balance


def dchat(amount: int) -> str:
    """udchat, for people."""
    whole, rest = divmod(amount, DCHAT)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") + " DCHAT"
