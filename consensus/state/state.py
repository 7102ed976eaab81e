"""The engine's record of where the chain stands after a block, as one immutable value.

Everything that the next block must agree with is in it; `next_block_state` is the only way on.
Source: CometBFT v0.38, spec/core/state.md, state/state.go; proto/tendermint/state/types.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from consensus.formats.bounds import COMMIT_BYTES, commit_sig_bytes
from consensus.formats.errors import InvalidValidators
from consensus.formats.timestamps import ZERO_TIME_NS, read_timestamp, timestamp_proto
from consensus.formats.units import MIB
from consensus.formats.wire import parse
from consensus.state.results import ExecTxResult, results_hash
from consensus.types.block import BlockBounds, beside_data_bytes
from consensus.types.commit import SIGNATURES_MAX
from consensus.types.header import Header, Version
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from consensus.types.params import ConsensusParams
from consensus.types.validators import EMPTY_SET, Change, ValidatorSet
from crypto.hash import EMPTY_HASH
from crypto.keys import KEY_TYPES
from proto.tendermint.state import types_pb2 as pb

SOFTWARE: Final = "0.38.26"  # the CometBFT whose formats these are
_STATE_BYTES_MAX: Final = 128 * MIB  # three of the largest sets


@dataclass(frozen=True, slots=True)
class State:
    """After block last_block_height. Height 0: before the first block.

    validators: of the next height; next_validators: of the one after; last_validators: of the last block, whose
    precommits the next block carries. last_results_hash and app_hash are what the next header must have.
    """

    chain_id: str
    initial_height: int
    last_block_height: int = 0
    last_block_id: BlockID = NIL_BLOCK_ID
    last_block_time_ns: int = ZERO_TIME_NS
    validators: ValidatorSet = EMPTY_SET
    next_validators: ValidatorSet = EMPTY_SET
    last_validators: ValidatorSet = EMPTY_SET
    last_height_validators_changed: int = 0
    params: ConsensusParams = field(default_factory=ConsensusParams)
    last_height_params_changed: int = 0
    last_results_hash: bytes = EMPTY_HASH
    app_hash: bytes = b""
    app_version: int = 0

    @property
    def next_height(self) -> int:
        return self.last_block_height + 1 if self.last_block_height else self.initial_height

    @property
    def version(self) -> Version:
        """What the next header must have."""
        return Version(app=self.app_version)

    @property
    def block_bytes_max(self) -> int:
        """The most bytes that the next block may have: the parameter, or what header and commit need at most.

        No parameter can forbid the empty block, which would end the chain.
        """
        return max(self.params.block_bytes_max, beside_data_bytes(self.commit_bytes_max))

    @property
    def commit_bytes_max(self) -> int:
        """What the last commit of the next block takes at most, and that of the one after it."""
        return max(self.validators.commit_bytes_max, self.last_validators.commit_bytes_max)

    def any_block_bounds(self, tx_bytes_min: int, *, growth: int) -> BlockBounds:
        """Of a block to come, before which parameters and validators may change: evidence grows by `growth`, and who
        signs the last commit are any, with keys of the types that the chain allows, or has."""
        kinds = self.validators.key_types | self.next_validators.key_types | {*self.params.validator.pub_key_types}
        largest = max(KEY_TYPES[kind].signature_bytes for kind in kinds)
        commit_bytes = COMMIT_BYTES + SIGNATURES_MAX * commit_sig_bytes(largest)
        return BlockBounds(growth * self.params.evidence.max_bytes, SIGNATURES_MAX, tx_bytes_min, commit_bytes)

    def block_bounds(self, tx_bytes_min: int) -> BlockBounds:
        """What the next block may hold. tx_bytes_min: the application's."""
        signers = self.last_validators
        return BlockBounds(self.params.evidence.max_bytes, len(signers), tx_bytes_min, signers.commit_bytes_max)

    def to_proto(self) -> pb.State:
        message = pb.State(
            chain_id=self.chain_id,
            initial_height=self.initial_height,
            last_block_height=self.last_block_height,
            last_block_id=self.last_block_id.to_proto(),
            last_block_time=timestamp_proto(self.last_block_time_ns),
            last_height_validators_changed=self.last_height_validators_changed,
            consensus_params=self.params.to_proto(),
            last_height_consensus_params_changed=self.last_height_params_changed,
            last_results_hash=self.last_results_hash,
            app_hash=self.app_hash,
        )
        message.version.consensus.block = self.version.block
        message.version.consensus.app = self.app_version
        message.version.software = SOFTWARE
        for name in _SETS:
            validators: ValidatorSet = getattr(self, name)
            if len(validators):
                getattr(message, name).CopyFrom(validators.to_proto())
        return message

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return self.to_proto().SerializeToString()

    @staticmethod
    def decode(data: bytes) -> State:
        """Raises Malformed, InvalidValidators."""
        message = parse(pb.State, data, bytes_max=_STATE_BYTES_MAX, what="state")
        sets = {
            name: ValidatorSet.from_proto(getattr(message, name)) if message.HasField(name) else EMPTY_SET
            for name in _SETS
        }
        return State(
            chain_id=message.chain_id,
            initial_height=message.initial_height,
            last_block_height=message.last_block_height,
            last_block_id=BlockID.from_proto(message.last_block_id),
            last_block_time_ns=read_timestamp(message, "last_block_time"),
            validators=sets["validators"],
            next_validators=sets["next_validators"],
            last_validators=sets["last_validators"],
            last_height_validators_changed=message.last_height_validators_changed,
            params=ConsensusParams.from_proto(message.consensus_params),
            last_height_params_changed=message.last_height_consensus_params_changed,
            last_results_hash=message.last_results_hash,
            app_hash=message.app_hash,
            app_version=message.version.consensus.app,
        )


_SETS: Final = ("next_validators", "validators", "last_validators")


def check_validator_updates(changes: Sequence[Change], params: ConsensusParams) -> None:
    """What the application may ask of the validator set. Raises InvalidValidators."""
    for key, power in changes:
        if power < 0:
            raise InvalidValidators(f"validator {key.address.hex()}: power {power} is negative")
        if power and key.type not in params.validator.pub_key_types:
            raise InvalidValidators(
                f"validator {key.address.hex()}: key type {key.type} is not one of {params.validator.pub_key_types}"
            )


def next_block_state(
    state: State,
    *,
    block_id: BlockID,
    header: Header,
    tx_results: Sequence[ExecTxResult],
    validator_updates: Sequence[Change],
    param_updates: ConsensusParams | None,
    app_hash: bytes,
) -> State:
    """The state after a block that was executed with this outcome.

    Validator updates of height H are in force at H+2, parameters and the application's version at H+1.
    Raises InvalidValidators, InvalidParams: the application asked for what the rules forbid.
    """
    params = state.params
    if param_updates is not None:
        params.validate_update(param_updates, header.height)
        params = param_updates
    check_validator_updates(validator_updates, state.params)
    return replace(
        state,
        last_block_height=header.height,
        last_block_id=block_id,
        last_block_time_ns=header.time_ns,
        last_validators=state.validators,
        validators=state.next_validators,
        next_validators=state.next_validators.update(validator_updates).increment(),
        last_height_validators_changed=(
            header.height + 2 if validator_updates else state.last_height_validators_changed
        ),
        params=params,
        last_height_params_changed=header.height + 1 if param_updates is not None else state.last_height_params_changed,
        app_version=params.version.app if param_updates is not None else state.app_version,
        last_results_hash=results_hash(tx_results),
        app_hash=app_hash,
    )
