"""Reading calls about what the bridge holds and lends, over one saved version, as dchat.v1 messages.

Lists are bounded, and go on behind a key without reading what is before it.
Source: proto/dchat/v1/bridge_service.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.escrow_records import BY_PARTY, ESCROW, EscrowTotals
from bridge.escrow_records import TOTALS as ESCROW_TOTALS
from bridge.lending import lock_of
from bridge.records import BY_SIGNER, ESCROW_ADDRESS, HEIGHT_BYTES, QUEUE, RECEIPT, TOTALS, Totals
from chain.chat.channels.pots import Pot, share_of
from chain.chat.channels.records import Membership
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.chat.ledger.records import identity_of
from chain.currency.grants.fee_grants import last_time_ns
from chain.currency.ledger.records import ACCOUNT, SUPPLY
from chain.currency.rewards.distribution import total_supply
from chain.kernel.branch import Base
from chain.state.roots import STORE_NAMES
from chain.tx.codec import height_bytes
from chain.tx.errors import TxError
from dchat.app.queries import Queries
from proto.dchat.v1 import bridge_service_pb2 as pb

ROWS_MAX: Final = 100


class BridgeQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def escrows(
        self, *, party: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListEscrowsResponse:
        """Those that concern somebody, or all."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        answer = pb.ListEscrowsResponse(height=view.version)
        for found in _names(base, BY_PARTY + party if party else ESCROW, after):
            escrow = base.get(ESCROW + found)
            assert escrow is not None, "what a party is known by stands beside the record"
            row = answer.escrows.add(id=found)
            row.escrow.MergeFromString(escrow.encode())
            if len(answer.escrows) == limit:
                break
        return answer

    def receipts(
        self, *, party: bytes = b"", from_height: int = 0, to_height: int = 0, after: bytes = b"",
        limit: int = ROWS_MAX, height: int = 0,
    ) -> pb.ListReceiptsResponse:  # fmt: skip
        """Of bundles that somebody signed, or of all. after: height ‖ replay id."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        answer = pb.ListReceiptsResponse(height=view.version)
        prefix = BY_SIGNER + party if party else QUEUE
        first, last = max(height_bytes(from_height), after + b"\x00" if after else b""), b""
        for key, _ in base.scan(prefix, prefix + first):
            at = key[len(prefix) :]
            if to_height and at[:HEIGHT_BYTES] > height_bytes(to_height):
                break
            if len(answer.receipts) == limit:
                answer.next = last
                break
            stored, last = base.get(RECEIPT + at[HEIGHT_BYTES:]), at
            assert stored is not None, "what a receipt is known by stands beside it"
            answer.receipts.add().MergeFromString(stored)
        return answer

    def allowance(self, address: bytes, *, channel_id: bytes = b"", height: int = 0) -> pb.GetAllowanceResponse:
        """At the time of that version's block."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        answer = pb.GetAllowanceResponse(height=view.version)
        params, time_ns = base.get(CHAT_PARAMS), last_time_ns(base)
        period = params.period_of(time_ns)
        lock = lock_of(base, address)
        answer.locked = lock.locked
        for amount, end_ns in lock.unlocking:
            answer.unlocking.add(amount=amount, end_ns=end_ns)
        identity = identity_of(base, address)
        if identity is not None:
            has, use = identity.allowance, identity.allowance.use.at(period)
            answer.registered = True
            answer.bought_messages, answer.bought_bytes = has.messages, has.size
            answer.refill_messages, answer.refill_bytes = (0, 0) if identity.expiry_ns else params.brings(has.locked)
            answer.left_messages = max(0, answer.refill_messages - use.messages)
            answer.left_bytes = max(0, answer.refill_bytes - use.size)
            answer.period_end_ns = period * params.period_ns
        if channel_id:
            try:
                found = share_of(base, channel_id, address, time_ns)
            except TxError as error:
                answer.channel_pays_not = error.rule
            else:
                answer.channel_messages, answer.channel_bytes = _share(*found, period)
        return answer

    def status(self, height: int = 0) -> pb.GetBridgeStatusResponse:
        """All but what the engine knows: `agreed_app_hash`, and so whether all of it is in step."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        bridge, escrows = base.get(TOTALS) or Totals(), base.get(ESCROW_TOTALS) or EscrowTotals()
        account, in_escrows = base.get(ACCOUNT + ESCROW_ADDRESS), escrows.held
        held = account.balance if account is not None else 0
        answer = pb.GetBridgeStatusResponse(
            height=view.version, app_hash=view.app_hash,
            held=held, held_for_chat=bridge.udchat_to_chat, held_in_escrows=in_escrows,
            books_agree=held == bridge.udchat_to_chat + in_escrows,
            bundles_executed=bridge.bundles_executed, bundles_failed=bridge.bundles_failed,
            escrows_opened=escrows.opened, escrows_open=escrows.open,
            udchat_tipped=str(bridge.udchat_tipped), udchat_joins=str(bridge.udchat_joins),
            udchat_released=str(escrows.released), udchat_given_back=str(escrows.given_back),
            udchat_refunded=str(escrows.refunded),
            udchat_supply=total_supply(base), udchat_collected_fees=base.get(SUPPLY).collected_fees,
        )  # fmt: skip
        for name in STORE_NAMES:
            changed, root = view.tree(name)
            answer.stores.add(name=name, changed_height=changed, root=root, recorded_root=view.roots[name])
        return answer


def _share(pot: Pot, membership: Membership, period: int) -> tuple[int, int]:
    use, left = membership.use.at(period), pot.left_in(period)
    messages, size = pot.member_messages - use.messages, pot.member_size - use.size
    return max(0, min(messages, left[0])), max(0, min(size, left[1]))


def _names(base: Base, prefix: bytes, after: bytes) -> Iterator[bytes]:
    """What follows the prefix in the keys under it, above `after`."""
    for key, _ in base.scan(prefix, prefix + after + b"\x00" if after else b""):
        yield key[len(prefix) :]
