"""Which call of the gRPC services has which path under /v1. One table: routes and OpenAPI are made of it.

A path names fields of the call's request in braces; the other fields are in the query of a GET, or in the JSON body of
a POST. A call without a row has the path that its name gives: `GetStakingPools` is `GET /v1/staking-pools`; what does
not begin with Get, List or Search is a POST. Records have theirs in `records.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf import descriptor_pool

from dchat.doors.rest.records import RECORDS, RecordPath

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, MethodDescriptor

PATHS: Final[dict[str, tuple[str, ...]]] = {
    "TxService.Broadcast": ("/v1/txs",),
    "TxService.BroadcastMany": ("/v1/txs/batch",),
    "TxService.GetTx": ("/v1/txs/{hash}",),
    "TxService.ListPending": ("/v1/accounts/{address}/pending", "/v1/pending/by-hash/{hash}"),
    "TxService.Simulate": ("/v1/txs/simulate",),
    "TxService.SearchTxs": ("/v1/search/txs",),
    "ChainService.GetStatus": ("/v1/status",),
    "ChainService.ListBlocks": ("/v1/blocks",),
    "ChainService.GetBlock": ("/v1/blocks/{height}", "/v1/blocks/by-hash/{hash}"),
    "ChainService.GetCommit": ("/v1/blocks/{height}/commit",),
    "ChainService.GetValidators": ("/v1/blocks/{height}/validators",),
    "ChainService.GetBlockResults": ("/v1/blocks/{height}/results",),
    "ChainService.BroadcastEvidence": ("/v1/evidence",),
    "ChainService.SearchBlocks": ("/v1/search/blocks",),
    "StateService.GetAccount": ("/v1/accounts/{address}",),
    "StateService.GetIdentity": ("/v1/identities/{address}", "/v1/identities/by-name/{name}"),
    "StateService.ListChannels": ("/v1/channels",),
    "StateService.GetChannel": ("/v1/channels/{channel_id}", "/v1/channels/by-name/{name}"),
    "StateService.ListMessages": ("/v1/channels/{channel_id}/messages",),
    "StateService.GetMessage": ("/v1/channels/{channel_id}/messages/{index}",),
    "StateService.GetBundle": ("/v1/bundles/{replay_id}",),
    "StateService.GetRecord": ("/v1/records/{store}/{key}",),
    "StateService.GetInvariants": ("/v1/invariants",),
    "StateService.GetParams": ("/v1/params",),
    "StateService.GetUpgrade": ("/v1/upgrade",),
    "StakingService.ListStakingValidators": ("/v1/validators",),
    "StakingService.GetStakingValidator": (
        "/v1/validators/{operator}",
        "/v1/validators/by-consensus-address/{consensus_address}",
    ),
    "StakingService.ListSlashes": ("/v1/validators/{operator}/slashes",),
    "StakingService.ListDelegations": ("/v1/delegations",),
    "StakingService.ListUnbondings": ("/v1/unbondings",),
    "StakingService.ListRedelegations": ("/v1/redelegations",),
    "StakingService.GetRewards": ("/v1/rewards/{delegator}",),
    "StakingService.GetStakingPools": ("/v1/staking-pools",),
    "BridgeService.ListEscrows": ("/v1/escrows",),
    "BridgeService.ListReceipts": ("/v1/receipts",),
    "BridgeService.GetBridgeStatus": ("/v1/bridge",),
    "PaymentService.ListDenominations": ("/v1/denominations",),
    "PaymentService.ListHoldings": ("/v1/accounts/{address}/holdings",),
    "PaymentService.ListPaymentRequests": ("/v1/payment-requests",),
    "PaymentService.ListStandingOrders": ("/v1/standing-orders",),
    "PaymentService.ListFeeGrants": ("/v1/fee-grants",),
    "PaymentService.ListAuthorisations": ("/v1/authorisations",),
    "PaymentService.ListVestings": ("/v1/vestings",),
    "BridgeService.GetAllowance": ("/v1/identities/{address}/allowance",),
    "ChannelService.ListMembers": ("/v1/channels/{channel_id}/members",),
    "ChannelService.ListBans": ("/v1/channels/{channel_id}/bans",),
    "ChannelService.ListInvitations": ("/v1/channels/{channel_id}/invitations",),
    "ChannelService.ListMemberships": ("/v1/identities/{member}/memberships",),
    "ReputationService.GetScore": ("/v1/identities/{address}/score",),
    "ReputationService.ListReports": ("/v1/channels/{channel_id}/reports",),
    "TrailService.ListTrails": ("/v1/trails",),
    "TrailService.ListTrailSteps": ("/v1/trails/{height}/steps",),
    "TrailService.ListTrailWrites": ("/v1/trails/{height}/steps/{step}/writes",),
    "GovService.ListProposals": ("/v1/proposals",),
    "GovService.GetProposal": ("/v1/proposals/{proposal_id}",),
    "GovService.ListVotes": ("/v1/proposals/{proposal_id}/votes",),
    "GovService.GetVote": ("/v1/proposals/{proposal_id}/votes/{voter}",),
    "GovService.ListDeposits": ("/v1/proposals/{proposal_id}/deposits",),
    "GovService.GetTally": ("/v1/proposals/{proposal_id}/tally",),
}

# Calls that have no path, and why.
LEFT_OUT: Final = {
    "ChainService.StreamBlocks": "a stream lasts as long as its reader likes: ask for /v1/blocks/{height} one by one",
    "ChainService.StreamEvents": "a stream lasts as long as its reader likes: /chain/events has pages with cursors",
}

# Bytes that are an encoded message: in a question they may be given as that message, in an answer they are with
# `?decoded=true`.
HOLDS: Final = {
    "dchat.v1.GetTxResponse.tx": "dchat.v1.Tx",
    "dchat.v1.GetTxResponse.data": "dchat.v1.Receipt",
    "dchat.v1.PendingTx.tx": "dchat.v1.Tx",
    "dchat.v1.BroadcastResponse.data": "dchat.v1.Receipt",
    "dchat.v1.TxOutcome.data": "dchat.v1.Receipt",
    "tendermint.types.Data.txs": "dchat.v1.Tx",
    "dchat.v1.BroadcastRequest.tx": "dchat.v1.Tx",
    "dchat.v1.BroadcastManyRequest.txs": "dchat.v1.Tx",
    "dchat.v1.SimulateRequest.tx": "dchat.v1.Tx",
    "dchat.v1.Tx.body": "dchat.v1.TxBody",
    "dchat.v1.BroadcastEvidenceRequest.evidence": "tendermint.types.Evidence",
}

DECODED: Final = "decoded"  # in the query of any call; no request has a field of that name

_NAMES: Final = re.compile(r"\{(\w+)\}")
_READS: Final = re.compile(r"(?:Get|List|Search)(?=[A-Z])")


class Route(NamedTuple):
    """One path of a call. in_path: fields of the request; of a record's path, the parts of its key."""

    verb: str
    path: str
    method: MethodDescriptor
    in_path: tuple[str, ...]
    record: RecordPath | None = None

    @property
    def call(self) -> str:
        """The call's path in gRPC."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def request(self) -> Descriptor:
        return self.method.input_type


def message_type(full_name: str) -> Descriptor:
    return descriptor_pool.Default().FindMessageTypeByName(full_name)


def routes_of(services: Iterable[str]) -> tuple[Route, ...]:
    """Of all calls of these services (full names), in the order of the schema."""
    found: list[Route] = []
    for name in services:
        service = descriptor_pool.Default().FindServiceByName(name)
        for method in service.methods:
            row = f"{service.name}.{method.name}"
            if row in LEFT_OUT or method.client_streaming or method.server_streaming:
                continue
            verb = "GET" if _READS.match(method.name) else "POST"
            for path in PATHS.get(row) or (path_of(method.name),):
                found.append(Route(verb, path, method, tuple(_NAMES.findall(path))))
            if row == "StateService.GetRecord":
                found += [Route(verb, record.path, method, record.parts, record) for record in RECORDS]
    return tuple(found)


def path_of(name: str) -> str:
    """`GetStakingPools` -> `/v1/staking-pools`."""
    words = re.findall(r"[A-Z][a-z0-9]*", _READS.sub("", name, count=1))
    return "/v1/" + "-".join(words).lower()
