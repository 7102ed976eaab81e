"""A genesis that many make: each validator signs an entry with its own keys, on its machine; one puts them together.

An entry is a JSON file of at most ENTRY_BYTES_MAX, and nothing in it is secret. It says who stakes what, and where the
node is found, and is signed by all three keys that it names: the consensus key that will vote, the operator's account
that has the stake, the node's key that peers will see. So nobody can be entered without having those keys, and whoever
collects can leave an entry out, but change nothing in it.

Pure: the same entries, time and options give the same document, in whatever order they come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from chain.app_state.economy import EconomicsGenesis
from chain.currency.economy import GenesisStake
from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.stake_records import POWER_UNIT
from chain.tx.codec import UINT64_MAX
from chain.tx.messages.economy import MONIKER_BYTES_MAX
from chain.tx.messages.kinds.fields import consensus_key_of
from chain.tx.policies import address_of_key
from chain.tx.units import in_dchat
from consensus.documents.genesis import GenesisDoc
from consensus.formats.chain_ids import new_chain_id_flaw
from consensus.formats.errors import InvalidData
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import node_id
from crypto.bech32 import InvalidAddress, decode_address, encode_address
from crypto.errors import InvalidKey
from crypto.hash import sha256
from crypto.keys import ED25519_KEY_BYTES, KEY_TYPES, SIGNATURE_BYTES, ed25519_verify
from genesis.build import BLOCK_BYTES_MAX, BLOCK_GAS_MAX, build_genesis

FILE_TYPE: Final = "dchat/genesis-validator/v1"
ENTRY_BYTES_MAX: Final = 16_384  # an entry has about 1,300; with an ML-DSA-65 key 11,800
ENTRIES_MAX: Final = 1_000
SIGNERS: Final = ("consensus", "operator", "node")
_DOMAIN: Final = b"dchat/genesis-validator/1\n"
_TEXTS: Final = (
    "chain_id", "moniker", "operator", "operator_key", "consensus_key", "node_key", "peer", "stake", "balance",
    "min_self_delegation", "commission_rate", "commission_max_rate", "commission_max_change_rate",
)  # fmt: skip
_KEYS: Final = {"consensus": "consensus_key", "operator": "operator_key", "node": "node_key"}
_OWN_KEYS: Final = ("operator_key", "node_key")  # Ed25519, always


class InvalidCeremony(InvalidData):
    """Entries that make no genesis. faults: a line each, with the file and the field."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Entry:
    """What one validator says of itself. Amounts: udchat; rates: Decs; peer: ID@HOST:PORT. signatures: who -> bytes, of
    its key's type; one that is missing is not made yet."""

    chain_id: str
    moniker: str
    operator_key: bytes
    consensus_key: bytes
    node_key: bytes
    peer: str
    stake: int
    balance: int
    min_self_delegation: int
    commission_rate: int = ONE // 10
    commission_max_rate: int = ONE // 5
    commission_max_change_rate: int = ONE // 100
    signatures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def operator(self) -> bytes:
        """The account: 20 bytes."""
        return address_of_key(self.operator_key)

    @property
    def power(self) -> int:
        return self.stake // POWER_UNIT

    @property
    def id(self) -> str:
        """The node's."""
        return node_id(self.node_key)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Which of SIGNERS have not signed."""
        return tuple(who for who in SIGNERS if who not in self.signatures)

    def sign_hash(self) -> bytes:
        """What each key signs: 32 bytes, so never a vote's sign-bytes."""
        said = json.dumps(self._said(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return sha256(_DOMAIN + said.encode())

    def signed(self, who: str, sign: Callable[[bytes], bytes]) -> Entry:
        """With the signature of one of SIGNERS."""
        assert who in SIGNERS, who
        return replace(self, signatures={**self.signatures, who: sign(self.sign_hash())})

    def dumps(self) -> str:
        """The file's text."""
        signatures = {who: self.signatures[who].hex() for who in SIGNERS if who in self.signatures}
        return json.dumps({"type": FILE_TYPE, **self._said(), "signatures": signatures}, indent=2) + "\n"

    def flaws(self) -> list[str]:
        """What no genesis takes, each with its field."""
        found = []
        if flaw := new_chain_id_flaw(self.chain_id):
            found.append(f"chain_id: {flaw}")
        size = len(self.moniker.encode(errors="surrogatepass"))
        if not 1 <= size <= MONIKER_BYTES_MAX or not self.moniker.isprintable():
            found.append(f"moniker: {size} bytes; allowed: 1 to {MONIKER_BYTES_MAX}, of characters that can be shown")
        if not POWER_UNIT <= self.stake <= UINT64_MAX:
            found.append(f"stake is {in_dchat(self.stake)}; allowed: {in_dchat(POWER_UNIT)} and more, for a power of 1")
        if not 0 <= self.balance <= UINT64_MAX:
            found.append(f"balance is {self.balance}; allowed: 0 to {UINT64_MAX} udchat")
        if not 1 <= self.min_self_delegation <= max(1, self.stake):
            found.append(f"min_self_delegation is {self.min_self_delegation}; allowed: 1 to the stake, {self.stake}")
        if not self.commission_rate <= self.commission_max_rate <= ONE:
            found.append("commission_rate: at most commission_max_rate, which is at most 1")
        if self.commission_max_change_rate > self.commission_max_rate:
            found.append("commission_max_change_rate: at most commission_max_rate")
        return found + self._flaws_of_peer() + self._flaws_of_signatures()

    def _flaws_of_peer(self) -> list[str]:
        try:
            peer = parse_address(self.peer)
        except BadAddress as error:
            return [f"peer: {error}"]
        if peer.id != self.id:
            return [f"peer: the node id is {peer.id}, that of node_key is {self.id}"]
        if not peer.port or (peer.ip is not None and peer.ip.is_unspecified):
            return [f"peer: nobody reaches {peer.host_port}; say the address at which other machines find this one"]
        return []

    def _flaws_of_signatures(self) -> list[str]:
        message, found = self.sign_hash(), []
        for who, signature in self.signatures.items():
            if not _is_signed(who, getattr(self, _KEYS[who]), message, signature):
                found.append(f"signatures.{who}: not of this entry by {_KEYS[who]}: something was changed after it")
        return found

    def _said(self) -> dict[str, str]:
        return {
            "chain_id": self.chain_id,
            "moniker": self.moniker,
            "operator": encode_address(self.operator),
            "operator_key": self.operator_key.hex(),
            "consensus_key": self.consensus_key.hex(),
            "node_key": self.node_key.hex(),
            "peer": self.peer,
            "stake": str(self.stake),
            "balance": str(self.balance),
            "min_self_delegation": str(self.min_self_delegation),
            "commission_rate": dec.text(self.commission_rate),
            "commission_max_rate": dec.text(self.commission_max_rate),
            "commission_max_change_rate": dec.text(self.commission_max_change_rate),
        }

    def _stake(self) -> GenesisStake:
        return GenesisStake(
            self.operator, self.consensus_key, self.stake, self.moniker, self.commission_rate,
            self.commission_max_rate, self.commission_max_change_rate, self.min_self_delegation,
        )  # fmt: skip


def _is_signed(who: str, key: bytes, message: bytes, signature: bytes) -> bool:
    return (
        consensus_key_of(key).verify(message, signature)
        if who == "consensus"
        else ed25519_verify(key, message, signature)
    )


def parse_entry(raw: bytes) -> Entry:
    """An entry that is sound by itself; signatures may be missing. Raises InvalidCeremony, with every fault of it."""
    if len(raw) > ENTRY_BYTES_MAX:
        raise InvalidCeremony([f"more than {ENTRY_BYTES_MAX} bytes; a validator's entry has about 1,300"])
    try:
        document = json.loads(raw, object_pairs_hook=_each_once)
    except InvalidCeremony:
        raise
    except (ValueError, RecursionError):
        raise InvalidCeremony(["it is not JSON; expected a file of `dchat genesis add-validator`"]) from None
    if not isinstance(document, dict) or document.get("type") != FILE_TYPE:
        kind = document.get("type") if isinstance(document, dict) else None
        told = f"it is of the type {kind[:64]!r}" if isinstance(kind, str) else "it has no type"
        raise InvalidCeremony([f"{told}; expected {FILE_TYPE}, a file of `dchat genesis add-validator`"])
    faults = [f"{name} is unknown" for name in document if name not in (*_TEXTS, "type", "signatures")]
    faults += [f"{name} is missing" for name in (*_TEXTS, "signatures") if name not in document]
    faults += [f"{name} is no text" for name in _TEXTS if name in document and not isinstance(document[name], str)]
    if faults:
        raise InvalidCeremony(faults)
    return _checked(document)


def _checked(document: Mapping[str, Any]) -> Entry:
    """Raises InvalidCeremony."""
    faults: list[str] = []

    def read(name: str, how: Callable[[str], Any], otherwise: Any) -> Any:
        try:
            return how(document[name])
        except (ValueError, InvalidAddress) as error:
            faults.append(f"{name}: {error}")
            return otherwise

    keys = {name: read(name, lambda text: _hex(text, ED25519_KEY_BYTES), bytes(32)) for name in _OWN_KEYS}
    keys["consensus_key"] = consensus_key = read("consensus_key", _consensus_key, bytes(32))
    amounts = {name: read(name, _digits, 1) for name in ("stake", "balance", "min_self_delegation")}
    rates = {name: read(name, dec.parse, 0) for name in _TEXTS if name.startswith("commission_")}
    operator = read("operator", decode_address, b"")
    signatures = document["signatures"]
    if not isinstance(signatures, dict) or not all(who in SIGNERS for who in signatures):
        faults.append(f"signatures: expected an object of {', '.join(SIGNERS)}")
        signatures = {}
    made = {}
    for who, text in signatures.items():
        try:
            sizes = {"consensus": KEY_TYPES[consensus_key_of(consensus_key).type].signature_bytes}
            made[who] = _hex(text, sizes.get(who, SIGNATURE_BYTES))
        except ValueError as error:
            faults.append(f"signatures.{who}: {error}")
    if faults:
        raise InvalidCeremony(faults)
    entry = Entry(
        document["chain_id"], document["moniker"], peer=document["peer"], signatures=made, **keys, **amounts, **rates
    )
    if operator != entry.operator:
        faults.append(f"operator: the account of operator_key is {encode_address(entry.operator)}")
    if faults := faults + entry.flaws():
        raise InvalidCeremony(faults)
    return entry


def collect(
    entries: Mapping[str, Entry],
    *,
    chain_id: str,
    time_ns: int,
    economics: EconomicsGenesis,
    balances: Mapping[bytes, int],
    block_bytes_max: int = BLOCK_BYTES_MAX,
    block_gas_max: int = BLOCK_GAS_MAX,
    upgrade_authority: bytes = b"",
    key_types: Sequence[str] = (),
) -> GenesisDoc:
    """The document of these entries, by the files that they are from. balances: of others, address -> udchat; an
    operator's is added to what its entry asks for. key_types: of `build_genesis`.

    Raises InvalidCeremony, with every fault of every file; InvalidGenesis, InvalidAppState of what they make together.
    """
    faults = _faults_together(entries, chain_id)
    if faults:
        raise InvalidCeremony(faults)
    ordered = sorted(entries.values(), key=lambda entry: entry.consensus_key)
    held = dict(balances)
    for entry in ordered:
        if entry.balance:
            held[entry.operator] = held.get(entry.operator, 0) + entry.balance
    usual = economics.staking
    staking = usual._replace(
        min_stake=min(usual.min_stake, *(entry.stake for entry in ordered)),
        min_self_delegation=min(usual.min_self_delegation, *(entry.min_self_delegation for entry in ordered)),
    )
    return build_genesis(
        chain_id=chain_id, time_ns=time_ns, stakes=[entry._stake() for entry in ordered], balances=held,
        economics=replace(economics, staking=staking), block_bytes_max=block_bytes_max, block_gas_max=block_gas_max,
        upgrade_authority=upgrade_authority, key_types=key_types,
    )  # fmt: skip


def _faults_together(entries: Mapping[str, Entry], chain_id: str) -> list[str]:
    if not 1 <= len(entries) <= ENTRIES_MAX:
        return [f"{len(entries)} entries; allowed: 1 to {ENTRIES_MAX}"]
    faults = []
    seen: dict[tuple[str, object], str] = {}
    for file, entry in entries.items():
        if entry.chain_id != chain_id:
            faults.append(f"{file}: chain_id is {entry.chain_id!r}; the others begin {chain_id!r}")
        for who in entry.lacks:
            what = "run `dchat genesis sign` where that key is" if who == "consensus" else "make the entry anew"
            faults.append(f"{file}: signatures.{who} is missing: {what}")
        at = parse_address(entry.peer).host_port
        for name, value in (
            ("operator", entry.operator), ("consensus_key", entry.consensus_key), ("node_key", entry.node_key),
            ("moniker", entry.moniker), ("peer", at),
        ):  # fmt: skip
            other = seen.setdefault((name, value), file)
            if other != file:
                faults.append(f"{file}: {name} is that of {other}, too; every validator has its own")
    return faults


def peers_text(entries: Sequence[Entry]) -> str:
    """A line for each node: where it is found, and its name."""
    return "".join(f"{entry.peer}  # {entry.moniker}\n" for entry in sorted(entries, key=lambda one: one.consensus_key))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidCeremony(["a name appears twice in one object"])
    return result


def _hex(text: object, size: int) -> bytes:
    """Raises ValueError."""
    try:
        raw = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise ValueError(f"expected {2 * size} hex characters")
    return raw


def _consensus_key(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return consensus_key_of(bytes.fromhex(text)).bytes
    except InvalidKey:
        raise
    except ValueError:
        raise ValueError("expected hex characters") from None


def _digits(text: str) -> int:
    """Raises ValueError."""
    if not (1 <= len(text) <= 20 and text.isascii() and text.isdigit() and str(int(text)) == text):
        raise ValueError(f"{text[:32]!r} is no whole number of udchat, 0 to {UINT64_MAX}")
    return int(text)


__all__ = [
    "ENTRIES_MAX",
    "ENTRY_BYTES_MAX",
    "SIGNERS",
    "Entry",
    "InvalidCeremony",
    "collect",
    "parse_entry",
    "peers_text",
]
