"""Genesis documents: what a chain starts from, in CometBFT's JSON.

Promises: what `parse_genesis` returns is complete and valid; an error names the field and what is allowed.
Source: CometBFT v0.38, spec/core/genesis.md, types/genesis.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Final

from consensus.documents.json import params_from_json, params_json, pub_key_from_json, pub_key_json
from consensus.formats.chain_ids import CHAIN_ID_BYTES_MAX
from consensus.formats.errors import InvalidGenesis, InvalidParams, InvalidValidators, Malformed
from consensus.formats.json_text import Fields, Json, dumps, loads
from consensus.formats.timestamps import ZERO_TIME_NS, format_rfc3339
from consensus.formats.wire import INT64_MAX
from consensus.state.state import State
from consensus.types.params import ConsensusParams
from consensus.types.validators import EMPTY_SET, TOTAL_POWER_MAX, ValidatorSet
from crypto.hash import ADDRESS_BYTES
from crypto.keys import PubKey

GENESIS_BYTES_MAX: Final = 1 << 30  # an exported state of a million accounts is a few hundred MB


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    pub_key: PubKey
    power: int
    name: str = ""

    @property
    def address(self) -> bytes:
        return self.pub_key.address


@dataclass(frozen=True, slots=True)
class GenesisDoc:
    """app_state: compact JSON for the application, empty if the document has none."""

    chain_id: str
    genesis_time_ns: int
    initial_height: int = 1
    consensus_params: ConsensusParams = field(default_factory=ConsensusParams)
    validators: tuple[GenesisValidator, ...] = ()
    app_hash: bytes = b""
    app_state: bytes = b""

    def validate(self) -> None:
        """Raises InvalidGenesis, naming field and allowed range."""
        size = len(self.chain_id.encode())
        if not 0 < size <= CHAIN_ID_BYTES_MAX:
            raise InvalidGenesis(f"genesis: chain_id has {size} bytes; allowed: 1 to {CHAIN_ID_BYTES_MAX}")
        if not 0 < self.initial_height <= INT64_MAX:
            raise InvalidGenesis(f"genesis: initial_height is {self.initial_height}; allowed: 1 to {INT64_MAX}")
        if self.genesis_time_ns == ZERO_TIME_NS:
            raise InvalidGenesis("genesis: genesis_time is missing")
        if self.genesis_time_ns > INT64_MAX:
            raise InvalidGenesis(
                f"genesis: genesis_time is {format_rfc3339(self.genesis_time_ns)}; "
                f"allowed: until {format_rfc3339(INT64_MAX)}, the last time in 64 bits of nanoseconds"
            )
        try:
            self.consensus_params.validate()
        except InvalidParams as error:
            raise InvalidGenesis(f"genesis: {error}") from error
        for index, validator in enumerate(self.validators):
            if not 0 < validator.power <= TOTAL_POWER_MAX:
                raise InvalidGenesis(
                    f"genesis: validators[{index}].power is {validator.power}; allowed: 1 to {TOTAL_POWER_MAX}"
                )
        try:
            self.validator_set()
        except InvalidValidators as error:
            raise InvalidGenesis(f"genesis: validators: {error}") from error

    def validator_set(self) -> ValidatorSet:
        """The set of the initial height; empty if the application is to name it. Raises InvalidValidators."""
        return ValidatorSet.new((validator.pub_key, validator.power) for validator in self.validators)

    def to_json(self) -> Json:
        """As CometBFT's RPC shows it."""
        value: dict[str, Json] = {
            "genesis_time": format_rfc3339(self.genesis_time_ns),
            "chain_id": self.chain_id,
            "initial_height": str(self.initial_height),
            "consensus_params": params_json(self.consensus_params),
            "validators": [_validator_json(validator) for validator in self.validators],
            "app_hash": self.app_hash.hex().upper(),
        }
        if self.app_state:
            value["app_state"] = json.loads(self.app_state)
        return value

    def without_app_state(self) -> GenesisDoc:
        """The same, but for what the application begins with."""
        return replace(self, app_state=b"")

    def dumps(self) -> str:
        """The file's text."""
        return dumps(self.to_json(), indent=2)

    def state(self) -> State:
        """The engine's state before the first block."""
        validators = self.validator_set()
        return State(
            chain_id=self.chain_id,
            initial_height=self.initial_height,
            last_block_time_ns=self.genesis_time_ns,
            validators=validators,
            next_validators=validators.increment() if len(validators) else EMPTY_SET,
            last_height_validators_changed=self.initial_height,
            params=self.consensus_params,
            last_height_params_changed=self.initial_height,
            app_hash=self.app_hash,
            app_version=self.consensus_params.version.app,
        )


def _validator_json(validator: GenesisValidator) -> Json:
    return {
        "address": validator.address.hex().upper(),
        "pub_key": pub_key_json(validator.pub_key),
        "power": str(validator.power),
        "name": validator.name,
    }


def parse_genesis(text: str | bytes, *, default_time_ns: int = ZERO_TIME_NS) -> GenesisDoc:
    """Read, complete and validate a document. default_time_ns: for one without a genesis_time.

    Raises InvalidGenesis.
    """
    try:
        doc = genesis_from_json(loads(text, what="genesis", bytes_max=GENESIS_BYTES_MAX), default_time_ns)
    except Malformed as error:
        raise InvalidGenesis(str(error)) from error
    doc.validate()
    return doc


def genesis_from_json(value: Json, default_time_ns: int = ZERO_TIME_NS) -> GenesisDoc:
    """Complete but not validated. Raises Malformed, InvalidGenesis."""
    fields = Fields(value, "genesis")
    time_ns = fields.time("genesis_time")
    state = fields.raw("app_state")
    return GenesisDoc(
        chain_id=fields.text("chain_id"),
        genesis_time_ns=default_time_ns if time_ns == ZERO_TIME_NS else time_ns,
        initial_height=fields.int64("initial_height") or 1,
        consensus_params=(
            fields.read("consensus_params", params_from_json) if "consensus_params" in fields else ConsensusParams()
        ),
        validators=fields.list("validators", _validator_from_json),
        app_hash=fields.hex("app_hash"),
        app_state=b"" if state is None else _compact(state),
    )


def compact_app_state(text: bytes) -> bytes:
    """`app_state` as documents are read here, of what another engine hands over: CometBFT gives the file's own text at
    its first start, and a compact one at later starts. Raises InvalidGenesis.
    """
    try:
        return _compact(loads(text, what="app_state", bytes_max=GENESIS_BYTES_MAX)) if text else b""
    except Malformed as error:
        raise InvalidGenesis(str(error)) from error


def _compact(state: Json) -> bytes:
    return json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()


def _validator_from_json(value: Json, where: str) -> GenesisValidator:
    fields = Fields(value, where)
    key = fields.read("pub_key", pub_key_from_json)
    address = fields.hex("address")
    if address and address != key.address:
        raise InvalidGenesis(
            f"{where}.address is {address.hex().upper()}, "
            f"expected {key.address.hex().upper()} (the first {ADDRESS_BYTES} bytes of its key's hash), or none"
        )
    return GenesisValidator(key, fields.int64("power"), fields.text("name"))
