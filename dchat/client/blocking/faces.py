"""Made by `python -m dchat.client.front.make_blocking` of dchat/client/front/chat.py: change that.

The methods of `dchat.client.Dchat` for callers without an event loop, safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chain.kernel.branch import RecordKind
from chain.tx.envelope.tx import Tx
from chain.tx.messages import Message
from consensus.state.cursors import Cursor
from consensus.types.light import LightBlock
from dchat.client.blocking.loop import Loop
from dchat.client.client import DEFAULT_ADDRESS, AskFailed
from dchat.client.front import chat as front
from dchat.client.front.chat import AT_ONCE, MAX_AGE_S, PAGE, PATIENCE_S, Amount, Event, Wait, Who
from dchat.client.nodes.tls import Tls
from dchat.client.verify import Trust
from dchat.client.wallet import FEE_MAX, Outcome
from dchat.home.accounts import Account, SharedAccount
from dchat.home.identity import Identity
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2


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
    """A chain, by `with connect(...) as chat:`. Nothing is asked before the first call.

    nodes: HOST:PORT of gRPC doors. trust: HEIGHT:HASH, or a genesis file. believe_nodes_of: instead, a chain's id: then
    nothing is checked, for nodes of your own. identity: an identity or account file, or what it holds; None: to read.
    fee_max: udchat, of fees that follow from the nodes' gas price. max_age_s: of a state that is read; 0: any age.

    Raises ValueError, IdentityError: what was given cannot be used.
    """
    return Dchat(
        front.connect(
            nodes,
            trust=trust,
            believe_nodes_of=believe_nodes_of,
            identity=identity,
            tls=tls,
            fee_max=fee_max,
            max_age_s=max_age_s,
        )
    )


class Dchat:
    """Made by `connect`. Close it, or use it by `with`: its thread ends then."""

    def __init__(self, chat: front.Dchat) -> None:
        self._chat, self._loop = chat, Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its connections and its thread; a second time it does nothing."""
        if not self._loop.is_closed:
            self._loop.run(self._chat.close())
            self._loop.close()

    @property
    def node(self) -> str:
        """The address of the node that is asked now."""
        return self._chat.node

    @property
    def me(self) -> bytes:
        """The address of the account that acts. Raises ValueError: none was named."""
        return self._chat.me

    @property
    def me_text(self) -> str:
        """`dchat1...`. Raises ValueError."""
        return self._chat.me_text

    def send(
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
        return self._loop.run(
            self._chat.send(
                *messages,
                memo=memo,
                fee=fee,
                gas_limit=gas_limit,
                unordered=unordered,
                bundle=bundle,
                expiry_blocks=expiry_blocks,
                sequence=sequence,
                fee_granter=fee_granter,
                wait=wait,
                within_s=within_s,
                keep=keep,
            )
        )

    def sign(
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
        return self._loop.run(
            self._chat.sign(
                *messages,
                memo=memo,
                fee=fee,
                gas_limit=gas_limit,
                unordered=unordered,
                bundle=bundle,
                expiry_blocks=expiry_blocks,
                sequence=sequence,
                fee_granter=fee_granter,
            )
        )

    def hand_in(self, tx: Tx | bytes, *, wait: Wait = "proof", within_s: float | None = None) -> Outcome:
        """What is signed already, whoever signed it, as often as you like: it is executed once. Until it is in a block,
        or its expiry height has passed by a verified header. Raises as `send`; then the next one signed takes the
        sequence that the chain has."""
        return self._loop.run(self._chat.hand_in(tx, wait=wait, within_s=within_s))

    def send_all(
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
        return self._loop.run(self._chat.send_all(many, ordered=ordered, at_once=at_once, within_s=within_s))

    def send_by(
        self, account: SharedAccount, holders: Sequence[Identity], *messages: Message, memo: str = ""
    ) -> Outcome:
        """By an account of several keys, which `holders` sign for, as many as it needs. Raises as `send`."""
        return self._loop.run(self._chat.send_by(account, holders, *messages, memo=memo))

    def simulate(self, *messages: Message) -> pb.SimulateResponse:
        """What they would do in the next block, by the node's word: nothing is signed or sent. Raises ClientError."""
        return self._loop.run(self._chat.simulate(*messages))

    def pay(self, to: Who, amount: Amount, *, memo: str = "", keep: Path | str | None = None) -> Outcome:
        """amount: udchat, `"5 DCHAT"`, or `"20 factory/dchat1.../gold"`, units of a denomination. Raises as `send`."""
        return self._loop.run(self._chat.pay(to, amount, memo=memo, keep=keep))

    def pay_many(self, outputs: Mapping[str, Amount], *, memo: str = "") -> Outcome:
        """Up to 64 accounts, all of them or none. Raises as `send`."""
        return self._loop.run(self._chat.pay_many(outputs, memo=memo))

    def register(self, name: str, *, display: str = "") -> Outcome:
        """A name for the account, which then may post: it brings a starter allowance. Raises as `send`."""
        return self._loop.run(self._chat.register(name, display=display))

    def create_channel(self, name: str, *, topic: str = "", join_price: Amount = 0) -> Outcome:
        """Raises as `send`."""
        return self._loop.run(self._chat.create_channel(name, topic=topic, join_price=join_price))

    def join(self, channel: Who, *, max_price: Amount = 0) -> Outcome:
        """max_price: what it may cost; 0: only where it is free. Raises as `send`."""
        return self._loop.run(self._chat.join(channel, max_price=max_price))

    def post(self, channel: Who, text: str, *, reply_to: int | None = None, keep: Path | str | None = None) -> Outcome:
        """A message. reply_to: index of the one that it answers. Raises as `send`."""
        return self._loop.run(self._chat.post(channel, text, reply_to=reply_to, keep=keep))

    def tip(self, channel: Who, index: int, amount: Amount) -> Outcome:
        """Pay the author of a message. Raises as `send`."""
        return self._loop.run(self._chat.tip(channel, index, amount))

    def buy_allowance(self, amount: Amount) -> Outcome:
        """To post more. Raises as `send`."""
        return self._loop.run(self._chat.buy_allowance(amount))

    def status(self) -> pb.GetStatusResponse:
        """Of the node that is asked now, by its word. Raises ClientError."""
        return self._loop.run(self._chat.status())

    def header(self, height: int) -> LightBlock:
        """A block's verified header, with its commit and validators. Raises ProofFailed, ClientError, ValueError."""
        return self._loop.run(self._chat.header(height))

    def account(self, who: Who | None = None) -> state_pb2.Account | None:
        """An account, default: who acts; None: there is none. Proved. Raises ProofFailed, ClientError."""
        return self._loop.run(self._chat.account(who))

    def balance(self, who: Who | None = None) -> int:
        """udchat. Proved. Raises ProofFailed, ClientError."""
        return self._loop.run(self._chat.balance(who))

    def identity(self, who: Who | None = None, *, name: str = "") -> state_pb2.Identity | None:
        """By its account (default: who acts), or by its name; None: there is none. Proved. Raises ProofFailed,
        ClientError."""
        return self._loop.run(self._chat.identity(who, name=name))

    def channel(self, channel: Who) -> state_pb2.Channel | None:
        """None: there is none. Proved. Raises ProofFailed, ClientError."""
        return self._loop.run(self._chat.channel(channel))

    def messages(self, channel: Who, from_index: int = 0, *, limit: int = PAGE) -> list[state_pb2.ChatMessage]:
        """In their order. Proved. Raises ProofFailed, ClientError."""
        return self._loop.run(self._chat.messages(channel, from_index, limit=limit))

    def tx(self, tx_hash: bytes | str) -> Outcome:
        """What became of a transaction. Proved; of one that failed too. Raises NotFound: the node knows none,
        ProofFailed, ClientError."""
        return self._loop.run(self._chat.tx(tx_hash))

    def record(self, kind: RecordKind, name: bytes) -> Any:
        """A record of any kind (bridge.records, docs/wire-format.md), as its schema's message; None: there is none.
        Proved. Raises ProofFailed, ClientError."""
        return self._loop.run(self._chat.record(kind, name))

    def search_txs(
        self, query: str, *, after: str = "", oldest_first: bool = False, limit: int = 30
    ) -> pb.SearchTxsResponse:
        """Transactions by what they did (docs/search.md), by the node's word. Raises ClientError."""
        return self._loop.run(self._chat.search_txs(query, after=after, oldest_first=oldest_first, limit=limit))

    def events(
        self,
        *types: str,
        where: Mapping[str, str] | None = None,
        after: Cursor | str | None = None,
        from_height: int = 0,
        to_height: int = 0,
        progress: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> Iterator[Event]:
        """What blocks did (docs/events.md), in the chain's order, each once, by the node's word; live after what is
        there, unless `to_height`. At another node it goes on behind the last, without a gap.

        after: the last cursor that you had, as it is or as text. progress: also tells, by an event without a type, how
        far it has come where nothing was found. patience_s: how long it tries again where no node answers.
        Raises NodeUnreachable, OutOfOrder, ClientError.
        """
        return self._loop.iterate(
            self._chat.events(
                *types,
                where=where,
                after=after,
                from_height=from_height,
                to_height=to_height,
                progress=progress,
                patience_s=patience_s,
            )
        )

    def posts(
        self, channel: Who, from_index: int = 0, *, patience_s: float = PATIENCE_S
    ) -> Iterator[state_pb2.ChatMessage]:
        """The messages of a channel in their order, each proved, then live. Go on with the last one's index + 1.
        Raises ProofFailed, ClientError."""
        return self._loop.iterate(self._chat.posts(channel, from_index, patience_s=patience_s))

    def blocks(
        self, from_height: int = 0, *, with_results: bool = False, patience_s: float = PATIENCE_S
    ) -> Iterator[pb.StreamBlocksResponse]:
        """Blocks in their order without a gap, then live, by the node's word; `header` verifies one. Raises
        NodeUnreachable, OutOfOrder, ClientError."""
        return self._loop.iterate(self._chat.blocks(from_height, with_results=with_results, patience_s=patience_s))
