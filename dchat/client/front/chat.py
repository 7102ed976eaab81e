"""`connect`: a chain through one node or several, and an account that acts on it (docs/python-client.md).

What is asked for is proved from the root of trust that you name; what is sent is signed once, handed in until it is in
a block, and what became of it is proved. A node that is away, stalls or lies is left for the next. Amounts are udchat,
or text (`"5 DCHAT"`); accounts are addresses (`dchat1...`) or 20 bytes; channels are names, or ids.

Errors are one tree, `AskFailed`: TxRefused, TxExpired, NodeUnreachable (Undecided: handed in, and nothing is known),
ProofFailed, NotFound, KeepFailed, and ClientError for the rest. ValueError and IdentityError are of what you gave.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from chain.kernel.branch import RecordKind
from chain.tx.envelope.build import Shared, Wallet, sign_body
from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import TxError
from chain.tx.messages import (
    LANE_BRIDGE,
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Message,
    Output,
    PayMany,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
)
from consensus.documents.genesis import GENESIS_BYTES_MAX, parse_genesis
from consensus.formats.errors import InvalidGenesis
from consensus.state.cursors import Cursor
from consensus.types.light import LightBlock
from dchat.client.client import DEFAULT_ADDRESS, SMALL_BYTES_MAX, AskFailed, Client, ClientError
from dchat.client.front.amounts import address_of, channel_of, parse_amount, parse_sum, paying
from dchat.client.front.kept import keep as write_kept
from dchat.client.front.kept import read_kept
from dchat.client.nodes.tls import Tls
from dchat.client.proved import Checked, Proved
from dchat.client.settled import proved_tx
from dchat.client.verify import TRUST_FORM, ProofFailed, Trust, Verifier
from dchat.client.wallet import FEE_MAX, Outcome, Session, TxExpired, TxRefused, decoded
from dchat.home.accounts import Account, SharedAccount, load_account
from dchat.home.identity import Identity
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2, tx_pb2

MAX_AGE_S: Final = 600  # of what is read: a node may be kept from hearing more, or tell the truth of long ago
AT_ONCE: Final = 64  # transactions in flight of `send_all`; a node holds some hundreds of one sender
PATIENCE_S: Final = 60.0  # streams outlast so long a time without any node
PAGE: Final = 100  # messages of one answer
NODE_FORM: Final = re.compile(r"unix:\S+|(?:\[[^\[\]/\s]+\]|[^\[\]:/\s]+):[1-9]\d{0,4}", re.ASCII)
POSTS_EVERY_S: Final = 30.0  # a node could keep an event back; the channel itself is looked at so often

Wait = Literal["proof", "commit", "admission"]
Who = str | bytes
Amount = str | int
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Event:
    """What a block did, by the node's word. cursor: `events(after=...)` goes on behind it. type empty: nothing that was
    asked for, up to here. tx_hash empty: the block itself did it."""

    cursor: Cursor
    type: str
    attributes: Mapping[str, str]
    tx_hash: bytes = b""
    tx_index: int = 0

    @property
    def height(self) -> int:
        return self.cursor.height


def connect(
    nodes: str | Sequence[str] = DEFAULT_ADDRESS,
    *,
    trust: Trust | Path | str | None = None,
    believe_nodes_of: str = "",
    identity: Account | Path | str | None = None,
    tls: Tls | None = None,
    fee_max: int = FEE_MAX,
    max_age_s: int = MAX_AGE_S,
) -> Dchat:
    """A chain, by `async with connect(...) as chat:`. Nothing is asked before the first call.

    nodes: HOST:PORT of gRPC doors. trust: HEIGHT:HASH, or a genesis file. believe_nodes_of: instead, a chain's id: then
    nothing is checked, for nodes of your own. identity: an identity or account file, or what it holds; None: to read.
    fee_max: udchat, of fees that follow from the nodes' gas price. max_age_s: of a state that is read; 0: any age.

    Raises ValueError, IdentityError: what was given cannot be used.
    """
    account = load_account(Path(identity)) if isinstance(identity, str | Path) else identity
    root = _root(trust)
    if (root is None) != bool(believe_nodes_of):
        raise ValueError(
            "where does trust begin? Give trust=GENESIS_FILE or trust='HEIGHT:HASH', or, of nodes of your own, "
            "believe_nodes_of=CHAIN_ID"
        )
    for node in [nodes] if isinstance(nodes, str) else nodes:
        if NODE_FORM.fullmatch(node) is None:
            raise ValueError(f"a node is {node!r}; expected HOST:PORT, of its gRPC door")
    client = Client(nodes, tls=tls, answer_bytes_max=SMALL_BYTES_MAX)
    return Dchat(client, root, believe_nodes_of, account, fee_max=fee_max, max_age_s=max_age_s)


def _root(trust: Trust | Path | str | None) -> Trust | None:
    if trust is None or isinstance(trust, Trust):
        return trust
    if isinstance(trust, str) and TRUST_FORM.fullmatch(trust):
        return Trust.parse(trust)
    try:
        with Path(trust).open("rb") as file:
            data = file.read(GENESIS_BYTES_MAX + 1)
        if len(data) > GENESIS_BYTES_MAX:
            raise ValueError(f"{trust}: has more than {GENESIS_BYTES_MAX} bytes, which no genesis has")
        return Trust.of_genesis(parse_genesis(data, default_time_ns=time.time_ns()))
    except OSError as error:
        raise ValueError(f"trust is neither HEIGHT:HASH nor a genesis file: {trust}: {error.strerror}") from None
    except InvalidGenesis as error:
        raise ValueError(f"{trust}: {error}") from None


class Dchat:
    """Made by `connect`. Safe to use from many tasks of one event loop."""

    def __init__(
        self,
        client: Client,
        trust: Trust | None,
        chain_id: str,
        account: Account | None,
        *,
        fee_max: int,
        max_age_s: int,
    ) -> None:
        known = trust.genesis.chain_id if trust is not None and trust.genesis is not None else chain_id
        self.client = client
        client.chain_id = known
        self.proved: Proved | None = None
        if trust is not None:
            self.proved = Proved(Verifier(client, trust, chain_id=known))
        self._account, self._chain_id, self._fee_max, self._max_age_s = account, chain_id, fee_max, max_age_s
        self._session = self._session_of(account) if account is not None else None
        self._building = asyncio.Lock()  # what is signed in order takes its sequence in order
        self._seen = 0  # no state is read that is older than what was read or done here

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End its connections."""
        await self.client.close()

    def _session_of(self, account: Account) -> Session:
        if self.proved is None:
            return Session(self.client, account.wallet, chain_id=self._chain_id, fee_max=self._fee_max)
        return Session(self.client, account.wallet, proved=self.proved, fee_max=self._fee_max)

    @property
    def node(self) -> str:
        """The address of the node that is asked now."""
        return self.client.address

    @property
    def me(self) -> bytes:
        """The address of the account that acts. Raises ValueError: none was named."""
        if self._account is None:
            raise ValueError("no account acts here: give identity= to connect")
        return self._account.address

    @property
    def me_text(self) -> str:
        """`dchat1...`. Raises ValueError."""
        if self._account is None:
            raise ValueError("no account acts here: give identity= to connect")
        return self._account.address_text

    # ------------------------------------------------------------------------------------------------ what is done

    async def send(
        self,
        *messages: Message,
        memo: str = "",
        fee: int | None = None,
        gas_limit: int | None = None,
        unordered: bool = False,
        bundle: bool = False,
        expiry_blocks: int = 0,
        sequence: int | None = None,
        fee_granter: bytes = b"",
        wait: Wait = "proof",
        within_s: float | None = None,
        keep: Path | str | None = None,
    ) -> Outcome:
        """Sign once, and hand in until it is in a block. Several messages are executed all or none.

        bundle: in the bridge's lane, of both chains. wait: until a header proves what became of it; until it is in a
        block by the node's word; or until it is admitted. within_s: until it is in a block, 2 minutes unless said.
        keep: a file, written before anybody has the transaction; given again with it, the same is handed in. The rest
        as `dchat tx` has it (docs/clients.md).

        Raises TxRefused, TxExpired, Undecided, ProofFailed, KeepFailed, ClientError, ValueError (no transaction can be
        made of it).
        """
        how: dict[str, Any] = {
            "memo": memo, "fee": fee, "gas_limit": gas_limit, "unordered": unordered, "expiry_blocks": expiry_blocks,
            "sequence": sequence, "fee_granter": fee_granter, "lane": LANE_BRIDGE if bundle else None,
        }  # fmt: skip
        file = Path(keep) if keep is not None else None
        kept = read_kept(file, messages, self.me) if file is not None else None
        if kept is not None:
            return await self.hand_in(kept, wait=wait, within_s=within_s)
        session = self._acting()

        def signed(raw: bytes) -> None:
            if file is not None:
                write_kept(file, raw)

        outcome = await session.send(messages, **self._waits(wait), signed=signed, within_s=within_s, **how)
        self._seen = max(self._seen, outcome.height)
        return outcome

    async def sign(
        self,
        *messages: Message,
        memo: str = "",
        fee: int | None = None,
        gas_limit: int | None = None,
        unordered: bool = False,
        bundle: bool = False,
        expiry_blocks: int = 0,
        sequence: int | None = None,
        fee_granter: bytes = b"",
    ) -> Tx:
        """A signed transaction, which nobody has yet: `hand_in` sends it. Arguments as of `send`. Raises ProofFailed,
        ClientError, ValueError.

        Of ordered ones the next takes the sequence after it, and waits until it is executed: hand it in first.
        """
        session = self._acting()
        async with self._building:
            raw = await session.build(
                messages, memo=memo, fee=fee, gas_limit=gas_limit, unordered=unordered, expiry_blocks=expiry_blocks,
                sequence=sequence, fee_granter=fee_granter, lane=LANE_BRIDGE if bundle else None,
            )  # fmt: skip
        return decoded(raw)

    async def hand_in(self, tx: Tx | bytes, *, wait: Wait = "proof", within_s: float | None = None) -> Outcome:
        """What is signed already, whoever signed it, as often as you like: it is executed once. Until it is in a block,
        or its expiry height has passed by a verified header. Raises as `send`; then the next one signed takes the
        sequence that the chain has."""
        try:
            return await self._hand_in(tx, wait=wait, within_s=within_s)
        except (TxRefused, TxExpired):
            if self._session is not None:
                self._session.forget()
            raise

    async def _hand_in(self, tx: Tx | bytes, *, wait: Wait = "proof", within_s: float | None = None) -> Outcome:
        session = self._session or Session(self.client, _NOBODY, **self._believing())
        outcome = await session.hand_in(
            decoded(tx) if isinstance(tx, bytes) else tx, **self._waits(wait), within_s=within_s
        )
        self._seen = max(self._seen, outcome.height)
        return outcome

    async def send_all(
        self,
        many: Iterable[Sequence[Message]],
        *,
        ordered: bool = True,
        at_once: int = AT_ONCE,
        within_s: float | None = None,
    ) -> list[Outcome | AskFailed]:
        """A transaction each of what `many` has, up to `at_once` in flight; the answers in the same order, of one that
        failed its error.

        ordered: they are executed in their order, so that one which no block takes holds up all behind it; else each
        by itself. Raises ProofFailed, ClientError where nothing more can be signed.
        """
        found: dict[int, Outcome | AskFailed] = {}
        free = asyncio.Semaphore(at_once)

        async def one(number: int, tx: Tx) -> None:
            try:
                found[number] = await self._hand_in(tx, within_s=within_s)
            except AskFailed as error:
                found[number] = error
            finally:
                free.release()

        async with asyncio.TaskGroup() as tasks:
            for number, messages in enumerate(many):
                await free.acquire()
                tx = await self.sign(*messages, unordered=not ordered)
                tasks.create_task(one(number, tx), name=f"send {number}")
        if any(isinstance(outcome, AskFailed) for outcome in found.values()) and self._session is not None:
            self._session.forget()  # sequences that were taken by what failed
        return [found[number] for number in sorted(found)]

    async def send_by(
        self, account: SharedAccount, holders: Sequence[Identity], *messages: Message, memo: str = ""
    ) -> Outcome:
        """By an account of several keys, which `holders` sign for, as many as it needs. Raises as `send`."""
        raw = await self._session_of(account).build(messages, unordered=True, memo=memo)
        return await self.hand_in(sign_body(tx_pb2.Tx.FromString(raw).body, [[one.wallet for one in holders]]))

    async def simulate(self, *messages: Message) -> pb.SimulateResponse:
        """What they would do in the next block, by the node's word: nothing is signed or sent. Raises ClientError."""
        wallet = self._acting().wallet
        shared = Shared(wallet.policy, wallet.public_key, wallet.address)
        trial = Session(self.client, shared, **self._believing())
        return await trial.simulate(messages)

    async def pay(self, to: Who, amount: Amount, *, memo: str = "", keep: Path | str | None = None) -> Outcome:
        """amount: udchat, `"5 DCHAT"`, or `"20 factory/dchat1.../gold"`, units of a denomination. Raises as `send`."""
        paid = parse_sum(f"{amount_of(amount)}udchat" if not isinstance(amount, str) else amount)
        return await self.send(paying(self.me, address_of(to), paid), memo=memo, keep=keep)

    async def pay_many(self, outputs: Mapping[str, Amount], *, memo: str = "") -> Outcome:
        """Up to 64 accounts, all of them or none. Raises as `send`."""
        each = tuple([Output(address_of(who), amount_of(amount)) for who, amount in outputs.items()])
        return await self.send(PayMany(self.me, each, sum(output.amount for output in each)), memo=memo)

    async def register(self, name: str, *, display: str = "") -> Outcome:
        """A name for the account, which then may post: it brings a starter allowance. Raises as `send`."""
        return await self.send(RegisterIdentity(self.me, name, display or name))

    async def create_channel(self, name: str, *, topic: str = "", join_price: Amount = 0) -> Outcome:
        """Raises as `send`."""
        return await self.send(CreateChannel(self.me, name, amount_of(join_price), topic))

    async def join(self, channel: Who, *, max_price: Amount = 0) -> Outcome:
        """max_price: what it may cost; 0: only where it is free. Raises as `send`."""
        price = amount_of(max_price)
        if price:
            return await self.send(PayToJoin(self.me, channel_of(channel), price))
        return await self.send(JoinChannel(self.me, channel_of(channel)))

    async def post(
        self, channel: Who, text: str, *, reply_to: int | None = None, keep: Path | str | None = None
    ) -> Outcome:
        """A message. reply_to: index of the one that it answers. Raises as `send`."""
        answered = 0 if reply_to is None else reply_to + 1
        return await self.send(PostMessage(self.me, channel_of(channel), text.encode(), answered), keep=keep)

    async def tip(self, channel: Who, index: int, amount: Amount) -> Outcome:
        """Pay the author of a message. Raises as `send`."""
        return await self.send(Tip(self.me, channel_of(channel), index, amount_of(amount)))

    async def buy_allowance(self, amount: Amount) -> Outcome:
        """To post more. Raises as `send`."""
        return await self.send(BuyAllowance(self.me, amount_of(amount)))

    # ----------------------------------------------------------------------------------------------- what is asked

    async def status(self) -> pb.GetStatusResponse:
        """Of the node that is asked now, by its word. Raises ClientError."""
        return await self.client.status()

    async def header(self, height: int) -> LightBlock:
        """A block's verified header, with its commit and validators. Raises ProofFailed, ClientError, ValueError."""
        if self.proved is None:
            raise ValueError("nothing is verified where nodes are believed: connect with trust=")
        verifier = self.proved.verifier
        return await self.client.at_each(lambda: verifier.header(height))

    async def account(self, who: Who | None = None) -> state_pb2.Account | None:
        """An account, default: who acts; None: there is none. Proved. Raises ProofFailed, ClientError."""
        address = self.me if who is None else address_of(who)
        answer = await self._read(
            lambda height, prove: self.client.account(address, height=height, prove=prove),
            lambda proved, answer: proved.account(answer, address),
        )
        return answer.account if answer.HasField("account") else None

    async def balance(self, who: Who | None = None) -> int:
        """udchat. Proved. Raises ProofFailed, ClientError."""
        found = await self.account(who)
        return found.balance if found is not None else 0

    async def identity(self, who: Who | None = None, *, name: str = "") -> state_pb2.Identity | None:
        """By its account (default: who acts), or by its name; None: there is none. Proved. Raises ProofFailed,
        ClientError."""
        address = b"" if name else (self.me if who is None else address_of(who))

        async def check(proved: Proved, answer: pb.GetIdentityResponse) -> Checked:
            return await (proved.named_identity(answer, name) if name else proved.identity(answer, address))

        answer = await self._read(
            lambda height, prove: self.client.identity(address, name=name, height=height, prove=prove), check
        )
        return answer.identity if answer.HasField("identity") else None

    async def channel(self, channel: Who) -> state_pb2.Channel | None:
        """None: there is none. Proved. Raises ProofFailed, ClientError."""
        key = channel_of(channel)
        answer = await self._read(
            lambda height, prove: self.client.channel(key, height=height, prove=prove),
            lambda proved, answer: proved.channel(answer, key),
        )
        return answer.channel if answer.HasField("channel") else None

    async def messages(self, channel: Who, from_index: int = 0, *, limit: int = PAGE) -> list[state_pb2.ChatMessage]:
        """In their order. Proved. Raises ProofFailed, ClientError."""
        key = channel_of(channel)
        answer = await self._read(
            lambda height, prove: self.client.messages(
                key, from_index=from_index, limit=limit, height=height, prove=prove
            ),
            lambda proved, answer: proved.messages(answer, key, from_index),
        )
        return list(answer.messages)

    async def tx(self, tx_hash: bytes | str) -> Outcome:
        """What became of a transaction. Proved; of one that failed too. Raises NotFound: the node knows none,
        ProofFailed, ClientError."""
        wanted = bytes.fromhex(tx_hash) if isinstance(tx_hash, str) else tx_hash

        async def ask() -> Outcome:
            answer = await self.client.tx(wanted)
            by = 0
            if self.proved is not None:
                answer, by = await proved_tx(self.client, self.proved, wanted, answer.height)
            try:
                found = Outcome.of(answer, decode(answer.tx))
            except TxError as error:
                raise ClientError(f"this build cannot read {wanted.hex()}: {error.log}") from None
            return replace(found, proved_by=by)

        return await self.client.at_each(ask)

    async def record(self, kind: RecordKind, name: bytes) -> Any:
        """A record of any kind (bridge.records, docs/wire-format.md), as its schema's message; None: there is none.
        Proved. Raises ProofFailed, ClientError."""
        answer = await self._read(
            lambda height, prove: self.client.record(kind, name, height=height, prove=prove),
            lambda proved, answer: proved.record(answer, kind, name),
        )
        return kind.schema.FromString(answer.value) if answer.HasField("value") else None

    async def search_txs(
        self, query: str, *, after: str = "", oldest_first: bool = False, limit: int = 30
    ) -> pb.SearchTxsResponse:
        """Transactions by what they did (docs/search.md), by the node's word. Raises ClientError."""
        return await self.client.search_txs(query, after=after, oldest_first=oldest_first, limit=limit)

    async def _read(
        self,
        ask: Callable[[int, bool], Awaitable[A]],
        check: Callable[[Proved, A], Awaitable[Checked]],
    ) -> A:
        """An answer of one node that proves it, of a state that is no older than what was seen here."""

        async def once() -> A:
            if self.proved is None:
                return await ask(0, False)
            latest = (await self.client.status()).latest_block_height
            least = max(self._seen, self.proved.verifier.trust.height) + 1
            if latest < least:
                latest = await self.client.wait_for_height(least)
            height = latest - 1  # whose state the latest header proves
            answer: Any = await ask(height, True)
            if answer.height != height:
                raise ProofFailed(f"asked for the state after block {height}, got it after {answer.height}")
            checked = await check(self.proved, answer)
            self.proved.verifier.check_age(checked.light, self._max_age_s)
            self._seen = max(self._seen, height)
            return answer  # type: ignore[no-any-return]

        return await self.client.at_each(once)

    # --------------------------------------------------------------------------------------------- what is followed

    async def events(
        self,
        *types: str,
        where: Mapping[str, str] | None = None,
        after: Cursor | str | None = None,
        from_height: int = 0,
        to_height: int = 0,
        progress: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> AsyncGenerator[Event]:
        """What blocks did (docs/events.md), in the chain's order, each once, by the node's word; live after what is
        there, unless `to_height`. At another node it goes on behind the last, without a gap.

        after: the last cursor that you had, as it is or as text. progress: also tells, by an event without a type, how
        far it has come where nothing was found. patience_s: how long it tries again where no node answers.
        Raises NodeUnreachable, OutOfOrder, ClientError.
        """
        begin = Cursor.parse(after) if isinstance(after, str) else after
        stream = self.client.stream_events(
            after=begin, from_height=from_height, to_height=to_height, types=types,
            where=tuple((where or {}).items()), patience_s=patience_s,
        )  # fmt: skip
        async with aclosing(stream):
            async for told in stream:
                if progress or told.HasField("event"):
                    yield event_of(told)

    async def posts(
        self, channel: Who, from_index: int = 0, *, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[state_pb2.ChatMessage]:
        """The messages of a channel in their order, each proved, then live. Go on with the last one's index + 1.
        Raises ProofFailed, ClientError."""
        key, following = channel_of(channel), from_index
        begin = (await self.client.status()).latest_block_height + 1
        wanted = self.client.stream_events(
            from_height=begin, types=("post_message",), where=(("channel_id", key.hex()),), patience_s=patience_s
        )
        async with aclosing(wanted) as events:
            waiting = asyncio.ensure_future(anext(events))
            try:
                while True:
                    while found := await self.messages(key, following):
                        for message in found:
                            following = message.index + 1
                            yield message
                    if not (await asyncio.wait({waiting}, timeout=POSTS_EVERY_S))[0]:
                        continue
                    self._seen = max(self._seen, waiting.result().cursor.height)
                    waiting = asyncio.ensure_future(anext(events))
            finally:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)

    async def blocks(
        self, from_height: int = 0, *, with_results: bool = False, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[pb.StreamBlocksResponse]:
        """Blocks in their order without a gap, then live, by the node's word; `header` verifies one. Raises
        NodeUnreachable, OutOfOrder, ClientError."""
        stream = self.client.stream_blocks(from_height, with_results=with_results, patience_s=patience_s)
        async with aclosing(stream):
            async for block in stream:
                yield block

    # ------------------------------------------------------------------------------------------------------- inside

    def _acting(self) -> Session:
        """Raises ValueError: nobody acts, or an account of several keys does."""
        if self._session is None or not isinstance(self._session.wallet, Wallet):
            raise ValueError("who signs? Give an identity to connect; an account of several keys sends by send_by")
        return self._session

    def _believing(self) -> dict[str, Any]:
        return {"proved": self.proved} if self.proved is not None else {"chain_id": self._chain_id}

    def _waits(self, wait: Wait) -> dict[str, bool]:
        prove = wait == "proof" and self.proved is not None
        return {"wait_commit": wait != "admission", "prove": prove}


_NOBODY: Final = Wallet.from_seed(bytes(32))  # signs nothing: what is handed in is signed


def amount_of(amount: Amount) -> int:
    """udchat. Raises ValueError."""
    if isinstance(amount, str):
        return parse_amount(amount)
    if type(amount) is not int:  # a float's last digits are nobody's wish
        raise ValueError(f'{amount!r} is no amount; allowed: text ("5.25 DCHAT"), or whole udchat')
    return amount


def event_of(told: pb.StreamEventsResponse) -> Event:
    return Event(
        cursor=Cursor(told.cursor.height, told.cursor.index),
        type=told.event.type,
        attributes={attribute.key: attribute.value for attribute in told.event.attributes},
        tx_hash=told.tx_hash,
        tx_index=told.tx_index,
    )
