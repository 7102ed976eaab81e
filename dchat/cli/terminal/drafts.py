"""A transaction on its way from one signer to the next: what is signed, in words, and who has signed.

A draft is a JSON file, and one thing has one file: whoever reads it makes the words anew from the body, and refuses a
file that says anything else. Nothing in it is secret: signatures are of this body alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.tx.envelope.tx import TX_BYTES_MAX, Tx, decode, sign_hash
from chain.tx.errors import TxError
from chain.tx.messages import KIND_OF, LANE_CHAT
from chain.tx.policies import choose, fullest, parse_policy, read_policy
from chain.tx.units import UDCHAT_PER_DCHAT
from crypto.bech32 import encode_address
from crypto.keys import SIGNATURE_BYTES, ed25519_verify
from dchat.cli.terminal.base import Exit, Refusal
from dchat.cli.terminal.render import inner_of
from dchat.home.documents import document_of, fault_text
from dchat.shown.messages import message_json
from proto.dchat.v1 import tx_pb2

FILE_TYPE: Final = "dchat/draft/v1"
FILE_BYTES_MAX: Final = 16 * TX_BYTES_MAX  # the body in hex, and its words, in which a byte can take six
AMOUNTS: Final = frozenset({
    "amount", "max_price", "join_price", "deposit", "min_self_delegation", "limit", "period_limit"
})  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """policies: of each signer, as whoever made the draft knows it. signatures: by signer's index and public key."""

    body: bytes
    policies: tuple[bytes, ...]
    signatures: Mapping[tuple[int, bytes], bytes]

    def tx(self) -> Tx:
        """What it would be with all its signatures. Raises: TxError."""
        return decode(_envelope(self.body, self._placeholders()))

    def _placeholders(self) -> Iterator[tuple[int, bytes, bytes]]:
        for index, policy in enumerate(self.policies):
            for key in fullest(policy):
                yield index, key, bytes(SIGNATURE_BYTES)

    def with_signature(self, index: int, key: bytes, signature: bytes) -> Draft:
        return Draft(self.body, self.policies, {**self.signatures, (index, key): signature})

    def signed(self) -> bytes | None:
        """The transaction, with exactly the signatures that it needs. None: some are missing."""
        found: list[tuple[int, bytes, bytes]] = []
        for index, policy in enumerate(self.policies):
            keys = choose(policy, [key for at, key in self.signatures if at == index])
            if keys is None:
                return None
            found += [(index, key, self.signatures[index, key]) for key in keys]
        return _envelope(self.body, iter(found))

    def missing(self) -> list[str]:
        """Of each signer who has not signed enough: who could."""
        told = []
        for index, policy in enumerate(self.policies):
            if choose(policy, [key for at, key in self.signatures if at == index]) is None:
                open_ = [key.hex() for key in parse_policy(policy).keys if (index, key) not in self.signatures]
                address = encode_address(self.tx().signers[index].address)
                told.append(f"{address} needs {needs(policy)}; not signed by {', '.join(open_)}")
        return told

    def document(self) -> dict[str, Any]:
        """What its file holds."""
        tx = self.tx()
        return {
            "type": FILE_TYPE,
            "says": words(tx, tx_pb2.TxBody.FromString(self.body).memo),
            "signers": [
                {"address": encode_address(entry.address), "needs": needs(policy), "policy": policy.hex()}
                for entry, policy in zip(tx.signers, self.policies, strict=True)
            ],
            "body": self.body.hex(),
            "signatures": [
                {"signer": index, "public_key": key.hex(), "signature": signature.hex()}
                for (index, key), signature in sorted(self.signatures.items())
            ],
        }

    def dumps(self) -> str:
        return json.dumps(self.document(), indent=2) + "\n"


def _envelope(body: bytes, signatures: Iterator[tuple[int, bytes, bytes]]) -> bytes:
    envelope = tx_pb2.Tx(body=body)
    for index, key, signature in signatures:
        envelope.signatures.add(signer=index, public_key=key, signature=signature)
    return envelope.SerializeToString(deterministic=True)


def needs(policy: bytes) -> str:
    """`1 key`, `2 of 3`, `2 of 3, of which one is 2 of 5 keys`."""
    parsed = parse_policy(policy)
    if len(parsed.groups) == 1:
        return "its key"
    groups = [f"{group.needed} of {len(group.keys)} keys" for group in parsed.groups if len(group.keys) > 1]
    within = f", of which {'; '.join(groups)}" if groups else ""
    return f"{parsed.needed} of {len(parsed.groups)}{within}"


def in_words(raw: bytes) -> list[str]:
    """What bytes of a node are, a line a thing: who signed, and for what. They may be anything."""
    try:
        found = decode(raw)
    except TxError as error:
        return [f"no transaction that this build knows: {error.log}"]
    return [f"signed by {signers_of(found)}", *words(found, tx_pb2.TxBody.FromString(found.body).memo)]


def signers_of(tx: Tx) -> str:
    return ", ".join(encode_address(entry.address) for entry in tx.signers)


def words(tx: Tx, memo: str) -> list[str]:
    """What is signed, for whoever signs it: a line a thing."""
    payer = encode_address(tx.payer)
    order = [f"sequence {entry.sequence} of key {entry.sequence_key.hex()}" for entry in tx.signers]
    told = [
        f"chain {tx.chain_id}, lane {tx.lane_name}",
        f"fee {_amount(tx.fee)}, for up to {tx.gas_limit} gas, paid by {payer}",
        "unordered" if tx.unordered else "; ".join(order),
        f"may be executed until block {tx.expiry_height}" if tx.expiry_height else "may be executed at any time",
    ]
    if tx.fee_granter:
        told.append(
            f"the channel {tx.fee_granter.hex()} pays, of what its owner set aside"
            if tx.lane == LANE_CHAT
            else f"the fee is of what {encode_address(tx.fee_granter)} granted"
        )
    if memo:
        told.append(f"memo {json.dumps(memo)}")
    for number, message in enumerate(tx.messages, start=1):
        name = KIND_OF[type(message)].name
        inner = inner_of(message)
        shown = message_json(inner)
        in_units = "denom" in shown
        fields = [f"{field} {_field(field, value, in_units)}" for field, value in shown.items()]
        if name == "release_escrow" and not inner.amount:
            fields[list(shown).index("amount")] = "amount all that is left"
        told.append(f"message {number}: {name}: {', '.join(fields)}")
    return told


def _field(name: str, value: Any, in_units: bool) -> str:
    """in_units: its amount is of a denomination, which stands beside it."""
    if name in AMOUNTS and isinstance(value, int) and not (in_units and name == "amount"):
        return _amount(value)
    return value if isinstance(value, str) and value.isascii() and value.isalnum() else json.dumps(value)


def _amount(udchat: int) -> str:
    whole, rest = divmod(udchat, UDCHAT_PER_DCHAT)
    return f"{whole}.{rest:06} DCHAT"


def read_draft(path: Path) -> Draft:
    """Raises Refusal: it is none, says something else than its body, or has a signature that is not valid."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            raise ValueError(f"it has more than {FILE_BYTES_MAX} bytes")
        document = document_of(raw, FILE_TYPE, pairs=_each_once)
        draft = _parse(document)
    except OSError as error:
        raise Refusal(f"{path}: cannot be read: {error.strerror}", Exit.USAGE) from None
    except (ValueError, KeyError, TypeError, TxError) as error:
        raise Refusal(f"{path}: is no draft of a transaction: {fault_text(error)}", Exit.USAGE) from None
    if draft.document() != document:
        who = "somebody changed it, or an older build wrote it"
        raise Refusal(f"{path}: does not say what its body is: {who}; sign nothing of it, make it anew", Exit.USAGE)
    digest = sign_hash(draft.body)
    for (index, key), signature in draft.signatures.items():
        if key not in parse_policy(draft.policies[index]).keys or not ed25519_verify(key, digest, signature):
            raise Refusal(f"{path}: the signature by {key.hex()} is not valid for it", Exit.USAGE)
    return draft


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError: of a name that is there twice a person may read the first, and we the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _parse(document: Mapping[str, Any]) -> Draft:
    body = bytes.fromhex(document["body"])
    policies = []
    for described in document["signers"]:
        policy = bytes.fromhex(described["policy"])
        policies.append(read_policy("signers.policy", tx_pb2.KeyPolicy.FromString(policy)))
        if policies[-1] != policy:
            raise ValueError("a policy is not canonical")
    signatures = {
        (int(one["signer"]), bytes.fromhex(one["public_key"])): bytes.fromhex(one["signature"])
        for one in document["signatures"]
    }
    draft = Draft(body, tuple(policies), signatures)
    tx = draft.tx()
    if len(tx.signers) != len(policies):
        raise ValueError(f"{len(policies)} signers are described, the body has {len(tx.signers)}")
    for entry, policy in zip(tx.signers, policies, strict=True):
        if entry.policy is not None and entry.policy != policy:
            raise ValueError("a policy is not the body's")
    if any(not 0 <= index < len(policies) for index, _ in signatures):
        raise ValueError("a signature is of nobody")
    return draft
