"""What a chain with IBC is given to read this one: the JSON forms of its `07-tendermint` light client.

A client (its state, and the consensus state that its trust begins with), headers that move it on, and proofs of what
stands under one of the three stores. The forms are those that ibc-go's command line reads (`tx ibc client create`,
`update`), and the request of its query VerifyMembership.
Source: ibc-go v10, proto/ibc/lightclients/tendermint/v1, proto/ibc/core/client/v1/query.proto,
modules/core/02-client/types/height.go (ParseChainID).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from chain.state.proofs import SPECS
from consensus.abci.interface import ProofOp
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.formats.wire import message_field
from consensus.types.light import LightBlock
from consensus.types.validators import ValidatorSet
from dchat.cli.light.verified import NotAnswered
from proto.tendermint.types import types_pb2 as pb

CLIENT_STATE: Final = "/ibc.lightclients.tendermint.v1.ClientState"
CONSENSUS_STATE: Final = "/ibc.lightclients.tendermint.v1.ConsensusState"
HEADER: Final = "/ibc.lightclients.tendermint.v1.Header"
UINT64_MAX: Final = 2**64 - 1

_REVISION: Final = re.compile(r".*[^-]-([1-9][0-9]*)", re.ASCII)
_PROOFS: Final = b"\x0a"  # field 1 of ibc.core.commitment.v1.MerkleProof

Document = dict[str, Any]


class NoRevision(NotAnswered):
    """The chain id ends in a number that IBC cannot have as a revision."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the other chain chooses. trust_level: a fraction, 1/3 to 1. The rest: nanoseconds."""

    trust_level: tuple[int, int]
    trusting_period_ns: int
    unbonding_period_ns: int
    clock_drift_ns: int

    def state(self, latest: LightBlock) -> Document:
        """ibc.lightclients.tendermint.v1.ClientState at the height of `latest`. Raises NoRevision."""
        chain_id = latest.header.chain_id
        return {
            "@type": CLIENT_STATE,
            "chain_id": chain_id,
            "trust_level": {"numerator": str(self.trust_level[0]), "denominator": str(self.trust_level[1])},
            "trusting_period": _duration(self.trusting_period_ns),
            "unbonding_period": _duration(self.unbonding_period_ns),
            "max_clock_drift": _duration(self.clock_drift_ns),
            "frozen_height": {"revision_number": "0", "revision_height": "0"},
            "latest_height": height_of(chain_id, latest.height),
            "proof_specs": [_proto(spec.to_proto()) for spec in SPECS],
            "upgrade_path": [],  # this chain commits to no successor of a client: its id and its heights go on
        }


def consensus_state(block: LightBlock) -> Document:
    """ibc.lightclients.tendermint.v1.ConsensusState: all that the other chain keeps of a header."""
    header = block.header
    return {
        "@type": CONSENSUS_STATE,
        "timestamp": format_rfc3339(header.time_ns),
        "root": {"hash": _base64(header.app_hash)},
        "next_validators_hash": header.next_validators_hash.hex().upper(),  # of a type whose JSON is hex in Go
    }


def header(block: LightBlock, *, trusted_height: int, trusted: ValidatorSet) -> Document:
    """ibc.lightclients.tendermint.v1.Header. trusted: the set of the height after the trusted one.

    Raises NoRevision.
    """
    message = pb.LightBlock.FromString(block.encode())
    return {
        "@type": HEADER,
        "signed_header": _proto(message.signed_header),
        "validator_set": _proto(message.validator_set),
        "trusted_height": height_of(block.header.chain_id, trusted_height),
        "trusted_validators": _proto(trusted.to_proto()),
    }


def membership(
    ops: Sequence[ProofOp], proved_by: LightBlock, *, client_id: str, store: str, key: bytes, value: bytes | None
) -> Document:
    """ibc.core.client.v1.QueryVerifyMembershipRequest, without a value where it is absent. Raises NoRevision.

    ops: as a node gives them, of the state that the header `proved_by` proves.
    """
    return {
        "client_id": client_id,
        "proof": _base64(b"".join(message_field(_PROOFS, op.data) for op in ops)),
        "proof_height": height_of(proved_by.header.chain_id, proved_by.height),
        "merkle_path": {"key_path": [_base64(store.encode()), _base64(key)]},
        **({} if value is None else {"value": _base64(value)}),
    }


def height_of(chain_id: str, height: int) -> Document:
    """ibc.core.client.v1.Height. Raises NoRevision."""
    return {"revision_number": str(revision(chain_id)), "revision_height": str(height)}


def revision(chain_id: str) -> int:
    """The number behind the last dash, as `name-7` has it; 0 where there is none. Raises NoRevision."""
    found = _REVISION.fullmatch(chain_id)
    if found is None:
        return 0
    if len(found[1]) > len(str(UINT64_MAX)) or (number := int(found[1])) > UINT64_MAX:
        raise NoRevision(
            f"chain id {chain_id!r} ends in a number above {UINT64_MAX}, which IBC takes for its revision: "
            "no client of this chain can be made"
        )
    return number


def _proto(message: Message) -> Document:
    return MessageToDict(message, preserving_proto_field_name=True)


def _duration(nanoseconds: int) -> str:
    """Protobuf's: seconds, with nine digits after the point where there are any."""
    seconds, rest = divmod(nanoseconds, NS_PER_S)
    return f"{seconds}.{rest:09}s" if rest else f"{seconds}s"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
