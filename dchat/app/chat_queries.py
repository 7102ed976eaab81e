"""Reading calls about who is in channels, and about scores and reports, over one saved version, as dchat.v1 messages.

Lists are bounded, and go on behind a key without reading what is before it.
Source: proto/dchat/v1/channel_service.proto, reputation_service.proto.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

from chain.chat.channels.members import invitation_counts, is_over
from chain.chat.channels.records import BAN, BY_MEMBER, CHANNEL, INVITATION, MEMBER, PLAIN, Channel, member_key
from chain.chat.ledger.records import IDENTITY
from chain.chat.reputation.records import BY_WEIGHT, REPORT, WEIGHT_BYTES, place_of
from chain.chat.reputation.scores import ACTS_MAX, period_of, score_at
from chain.currency.grants.fee_grants import last_time_ns
from chain.kernel.branch import Base, Key
from crypto.hash import ADDRESS_BYTES
from dchat.app.errors import NO_CHANNEL, NoChannel
from dchat.app.queries import Queries
from proto.dchat.v1 import channel_service_pb2 as channels_pb
from proto.dchat.v1 import reputation_service_pb2 as pb

ROWS_MAX: Final = 100


class ChannelQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable, NoChannel."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def _open(self, height: int) -> tuple[int, Base]:
        view = self._queries.view(height)
        return view.version, self._queries.base_of(view)

    def members(
        self, channel_id: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> channels_pb.ListMembersResponse:
        version, base = self._open(height)
        answer = channels_pb.ListMembersResponse(height=version)
        channel, now = _channel(base, channel_id, version), last_time_ns(base)
        rows, answer.next = _page(base, MEMBER + channel_id, after, limit)
        for address, membership in rows:
            row = answer.members.add(address=address, is_owner=channel.owner == address)
            row.is_over = is_over(membership, base.get(IDENTITY + address), now)
            row.membership.MergeFromString(membership.encode())
        return answer

    def memberships(
        self, member: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> channels_pb.ListMembershipsResponse:
        version, base = self._open(height)
        answer = channels_pb.ListMembershipsResponse(height=version)
        identity, now = base.get(IDENTITY + member), last_time_ns(base)
        rows, answer.next = _page(base, BY_MEMBER + member, after, limit)
        for channel_id, _ in rows:
            channel, membership = base.get(CHANNEL + channel_id), base.get(member_key(channel_id, member))
            assert channel is not None, "channels stay"
            assert membership is not None, "what a member is found by stands beside the membership"
            row = answer.memberships.add(
                channel_id=channel_id, name=channel.name, peer=_peer(channel, member), is_owner=channel.owner == member,
                is_over=is_over(membership, identity, now), message_count=channel.range.count,
            )  # fmt: skip
            row.membership.MergeFromString(membership.encode())
        return answer

    def bans(
        self, channel_id: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> channels_pb.ListBansResponse:
        version, base = self._open(height)
        answer = channels_pb.ListBansResponse(height=version)
        _channel(base, channel_id, version)
        rows, answer.next = _page(base, BAN + channel_id, after, limit)
        for address, ban in rows:
            answer.bans.add(address=address).ban.MergeFromString(ban.encode())
        return answer

    def invitations(
        self, channel_id: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> channels_pb.ListInvitationsResponse:
        version, base = self._open(height)
        answer = channels_pb.ListInvitationsResponse(height=version)
        channel, now = _channel(base, channel_id, version), last_time_ns(base)
        rows, answer.next = _page(base, INVITATION + channel_id, after, limit)
        for address, invitation in rows:
            row = answer.invitations.add(address=address)
            row.is_void = not invitation_counts(base, channel, invitation, base.get(IDENTITY + address), now)
            row.invitation.MergeFromString(invitation.encode())
        return answer


def _channel(base: Base, channel_id: bytes, version: int) -> Channel:
    """Raises NoChannel: else one that is misspelt would look like one with nobody in it."""
    channel = base.get(CHANNEL + channel_id)
    if channel is None:
        raise NoChannel(NO_CHANNEL.format(channel_id.hex(), version))
    return channel


def _peer(channel: Channel, member: bytes) -> bytes:
    pair = (channel.settings or PLAIN).pair
    one, other = pair[:ADDRESS_BYTES], pair[ADDRESS_BYTES:]
    return other if one == member else one


def _page(base: Base, prefix: Key[Any], after: bytes, limit: int) -> tuple[list[tuple[bytes, Any]], bytes]:
    """(what stands behind the prefix, record) of up to `limit`, above `after`; the last of them if there are more."""
    found = base.scan(prefix, prefix + after + b"\x00" if after else b"")
    rows = [(key[len(prefix) :], record) for key, record in itertools.islice(found, limit + 1)]
    return rows[:limit], rows[limit - 1][0] if len(rows) > limit else b""


class ReputationQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable; of a channel NoChannel."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def score(self, address: bytes, *, height: int = 0) -> pb.GetScoreResponse:
        """After that block, by its time: what is stored is as it was when it was touched."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        has = score_at(base, address, period_of(last_time_ns(base)))
        return pb.GetScoreResponse(
            height=view.version, score=has.score, share=has.share, acts_left=ACTS_MAX - len(has.acted),
            period=has.period,
        )  # fmt: skip

    def reports(
        self, channel_id: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListReportsResponse:
        """Those that are open, the heaviest first."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        prefix = BY_WEIGHT + channel_id
        _channel(base, channel_id, view.version)
        answer = pb.ListReportsResponse(height=view.version)
        rows, answer.next = _page(base, prefix, after, limit)
        for row, _ in rows:
            about = row[WEIGHT_BYTES:]
            report = base.get(REPORT + channel_id + about)
            assert report is not None, "what is queued by weight stands beside the record"
            index, member = place_of(about)
            answer.reports.add(index=index, member=member).report.MergeFromString(report.encode())
        return answer
