"""The file of a proof pack: what it holds, and its bytes, read and written.

A pack shows a message of a channel to somebody who has one block's hash. It is headers, of each only the fields that
are needed and hashes for the rest, tied to each other; and transactions with their results, tied to headers. Reading
bounds everything before it is looked at, takes one form of each number and no byte beyond the last, and believes
nothing: `dchat.client.pack_verify` judges. docs/proof-pack.md has the format byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from chain.tx.envelope.tx import TX_BYTES_MAX
from chain.tx.messages import CHANNEL_ID_BYTES
from consensus.formats.units import MIB
from consensus.types.commit import SIGNATURES_MAX
from consensus.types.header import Header
from crypto import merkle
from crypto.hash import HASH_BYTES, uvarint
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES
from dchat.client.verify import ProofFailed

MAGIC: Final = b"dchatpf\x01"
FILE_BYTES_MAX: Final = MIB  # nine of the largest transactions, and a way of a thousand headers
HEADERS_MAX: Final = 1_024
TXS_MAX: Final = 9  # the one that posted, and what else was paid
FIELD_BYTES_MAX: Final = 128  # of a header: the longest that is ever shown, a block id, has 76
RESULT_BYTES_MAX: Final = TX_BYTES_MAX
NUMBER_MAX: Final = (1 << 63) - 1
TOTAL_MAX: Final = (1 << 31) - 1  # parts of a block, rounds
DEPTH_MAX: Final = 31  # of the trees over a block's transactions and their results
POWER_MAX: Final = 1 << 60
SECONDS_MAX: Final = 253_402_300_799  # the year 9999
NANOS_MAX: Final = 999_999_999
HEADER_FIELDS: Final = 14

# The fields of a header that a pack may need, by their place.
CHAIN_ID, HEIGHT, TIME, LAST_BLOCK_ID, DATA_HASH, VALIDATORS_HASH, NEXT_VALIDATORS_HASH, LAST_RESULTS_HASH = (
    1, 2, 3, 4, 6, 7, 8, 11,
)  # fmt: skip

BY_LINK: Final = 1  # its hash is the last block's that the parent names
BY_COMMIT: Final = 2  # the set that the parent names for the next height signed it


class InvalidPack(ProofFailed):
    """A pack that is malformed, or does not lead from the trusted block to what it says."""


class Shown(NamedTuple):
    """Some fields of a header. mask: bit i stands for field i. nodes: in the tree's order, the bytes of each field that
    is shown, and the hash of each largest part of the tree of which none is."""

    mask: int
    nodes: tuple[bytes, ...]

    @staticmethod
    def of(header: Header, *fields: int) -> Shown:
        mask = 0
        for field in fields:
            mask |= 1 << field
        return Shown(mask, tuple(_prune(header.leaves(), 0, HEADER_FIELDS, mask)))

    def fold(self) -> tuple[bytes, dict[int, bytes]]:
        """The header's hash, and what it holds in the fields that are shown."""
        fields: dict[int, bytes] = {}
        return _fold(iter(self.nodes), 0, HEADER_FIELDS, self.mask, fields), fields


def _part(first: int, count: int, mask: int) -> int:
    return mask >> first & (1 << count) - 1


def _prune(leaves: Sequence[bytes], first: int, count: int, mask: int) -> list[bytes]:
    if not _part(first, count, mask):
        return [merkle.root(leaves[first : first + count])]
    if count == 1:
        return [leaves[first]]
    left = merkle.split_point(count)
    return _prune(leaves, first, left, mask) + _prune(leaves, first + left, count - left, mask)


def _fold(nodes: Iterator[bytes], first: int, count: int, mask: int, fields: dict[int, bytes]) -> bytes:
    if not _part(first, count, mask):
        return next(nodes)
    if count == 1:
        fields[first] = next(nodes)
        return merkle.leaf_hash(fields[first])
    left = merkle.split_point(count)
    below = _fold(nodes, first, left, mask, fields)
    return merkle.inner_hash(below, _fold(nodes, first + left, count - left, mask, fields))


def _is_field(first: int, count: int, mask: int) -> list[bool]:
    """Of each node in order, whether it is a field: else it is a hash."""
    if not _part(first, count, mask) or count == 1:
        return [bool(_part(first, count, mask))]
    left = merkle.split_point(count)
    return _is_field(first, left, mask) + _is_field(first + left, count - left, mask)


class Signature(NamedTuple):
    """position: of the validator in its set. The time is the vote's."""

    position: int
    seconds: int
    nanos: int
    signature: bytes


class Vouch(NamedTuple):
    """A commit: who could sign (key and power each, in set order), and who did."""

    validators: tuple[tuple[bytes, int], ...]
    round: int
    parts_total: int
    parts_hash: bytes
    signatures: tuple[Signature, ...]


class PackHeader(NamedTuple):
    """parent: the place of the header that it hangs on, before its own; of the first, which is trusted, none (-1).
    vouch: where it hangs on by a commit, not by a link."""

    parent: int
    vouch: Vouch | None
    shown: Shown


class PackTx(NamedTuple):
    """block, result: places of the headers of its block and of the next one.

    path: bit i is set where, at step i from the leaf, the aunt is the left one; both trees have one shape. The
    transaction's number in the block is its receipt's to say: paths of leaves in trees of other sizes look the same.
    """

    block: int
    result: int
    path: int
    tx: bytes
    aunts: tuple[bytes, ...]
    outcome: bytes
    outcome_aunts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """The message is number `index` of the channel. txs: the one that posted it first."""

    channel_id: bytes
    index: int
    headers: tuple[PackHeader, ...]
    txs: tuple[PackTx, ...]

    def encode(self) -> bytes:
        sets: list[tuple[tuple[bytes, int], ...]] = []
        out = [MAGIC, self.channel_id, uvarint(self.index), uvarint(len(self.headers))]
        for header in self.headers:
            out += _header_bytes(header, sets)
        out.append(uvarint(len(self.txs)))
        for tx in self.txs:
            out += [uvarint(number) for number in (tx.block, tx.result, len(tx.aunts), tx.path)]
            out += [_blob(tx.tx), *tx.aunts, _blob(tx.outcome), *tx.outcome_aunts]
        return b"".join(out)

    @staticmethod
    def decode(data: bytes) -> Pack:
        """Raises InvalidPack."""
        if len(data) > FILE_BYTES_MAX:
            raise InvalidPack(f"the file has {len(data)} bytes; allowed: {FILE_BYTES_MAX}")
        reader = _Reader(data)
        if reader.take(len(MAGIC), "its first bytes") != MAGIC:
            raise InvalidPack("this is no proof pack, or one of a later form than this build knows")
        channel, index = reader.take(CHANNEL_ID_BYTES, "channel"), reader.number("index", NUMBER_MAX)
        sets: list[tuple[tuple[bytes, int], ...]] = []
        count = reader.number("headers", HEADERS_MAX, least=1)
        headers = tuple([_read_header(reader, place, sets) for place in range(count)])
        txs = tuple([_read_tx(reader, count) for _ in range(reader.number("transactions", TXS_MAX, least=1))])
        reader.end()
        return Pack(channel, index, headers, txs)


def _blob(data: bytes) -> bytes:
    return uvarint(len(data)) + data


def _header_bytes(header: PackHeader, sets: list[tuple[tuple[bytes, int], ...]]) -> list[bytes]:
    out: list[bytes] = []
    if header.parent >= 0:
        out += [bytes([BY_COMMIT if header.vouch else BY_LINK]), uvarint(header.parent)]
    if (vouch := header.vouch) is not None:
        known = sets.index(vouch.validators) if vouch.validators in sets else len(sets)
        out.append(uvarint(known))
        if known == len(sets):
            sets.append(vouch.validators)
            out.append(uvarint(len(vouch.validators)))
            out += [key + uvarint(power) for key, power in vouch.validators]
        out += [uvarint(vouch.round), uvarint(vouch.parts_total), vouch.parts_hash, uvarint(len(vouch.signatures))]
        for position, seconds, nanos, signature in vouch.signatures:
            out += [uvarint(position), uvarint(seconds), uvarint(nanos), signature]
    mask, nodes = header.shown
    out.append(mask.to_bytes(2, "big"))
    kinds = _is_field(0, HEADER_FIELDS, mask)
    return out + [_blob(node) if is_field else node for node, is_field in zip(nodes, kinds, strict=True)]


# ------------------------------------------------------------------------------------------------ reading


class _Reader:
    """Takes bytes from the front. Every method raises InvalidPack where they end too soon."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int, what: str) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise InvalidPack(f"the file ends within {what}")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, what: str, most: int, *, least: int = 0) -> int:
        """An unsigned LEB128 number in its shortest form."""
        value = shift = 0
        while True:
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= 63:
                raise InvalidPack(f"{what}: a number of more than 9 bytes")
        if not byte and shift > 7:
            raise InvalidPack(f"{what}: a number that is not in its shortest form")
        if not least <= value <= most:
            raise InvalidPack(f"{what} is {value}; allowed: {least} to {most}")
        return value

    def blob(self, what: str, most: int) -> bytes:
        return self.take(self.number(f"the length of {what}", most), what)

    def hashes(self, count: int, what: str) -> tuple[bytes, ...]:
        taken = self.take(count * HASH_BYTES, what)
        return tuple([taken[at : at + HASH_BYTES] for at in range(0, len(taken), HASH_BYTES)])

    def end(self) -> None:
        if self._at != len(self._data):
            raise InvalidPack(f"{len(self._data) - self._at} bytes follow the end")


def _read_header(reader: _Reader, place: int, sets: list[tuple[tuple[bytes, int], ...]]) -> PackHeader:
    parent, vouch = -1, None
    if place:
        how = reader.take(1, "how a header is known")[0]
        if how not in (BY_LINK, BY_COMMIT):
            raise InvalidPack(f"header {place} is known in the way {how}; allowed: {BY_LINK}, {BY_COMMIT}")
        parent = reader.number("a header's parent", place - 1)
        if how == BY_COMMIT:
            vouch = _read_vouch(reader, sets)
    mask = int.from_bytes(reader.take(2, "which fields are shown"), "big")
    if not 0 < mask < 1 << HEADER_FIELDS:
        raise InvalidPack(f"header {place} shows the fields {mask:#x}; allowed: 0x1 to 0x3fff")
    nodes = [
        reader.blob("a header's field", FIELD_BYTES_MAX) if is_field else reader.take(HASH_BYTES, "a header's hash")
        for is_field in _is_field(0, HEADER_FIELDS, mask)
    ]
    return PackHeader(parent, vouch, Shown(mask, tuple(nodes)))


def _read_vouch(reader: _Reader, sets: list[tuple[tuple[bytes, int], ...]]) -> Vouch:
    known = reader.number("a set of validators", len(sets))
    if known == len(sets):
        members = range(reader.number("validators", SIGNATURES_MAX, least=1))
        sets.append(
            tuple([(reader.take(ED25519_KEY_BYTES, "a key"), reader.number("power", POWER_MAX)) for _ in members])
        )
    validators = sets[known]
    round, parts_total = reader.number("round", TOTAL_MAX), reader.number("parts", TOTAL_MAX, least=1)
    parts_hash = reader.take(HASH_BYTES, "the parts' hash")
    signatures: list[Signature] = []
    least = 0  # ascending: none counts twice
    for _ in range(reader.number("signatures", len(validators), least=1)):
        position = reader.number("a validator's place", len(validators) - 1, least=least)
        seconds, nanos = reader.number("seconds", SECONDS_MAX), reader.number("nanoseconds", NANOS_MAX)
        signatures.append(Signature(position, seconds, nanos, reader.take(SIGNATURE_BYTES, "a signature")))
        least = position + 1
    return Vouch(validators, round, parts_total, parts_hash, tuple(signatures))


def _read_tx(reader: _Reader, headers: int) -> PackTx:
    block = reader.number("the block's header", headers - 1)
    result = reader.number("the next header", headers - 1)
    depth = reader.number("the depth of a transaction", DEPTH_MAX)
    path = reader.number("the sides of a transaction's path", (1 << depth) - 1)
    tx = reader.blob("a transaction", TX_BYTES_MAX)
    aunts = reader.hashes(depth, "the path of a transaction")
    outcome = reader.blob("a result", RESULT_BYTES_MAX)
    return PackTx(block, result, path, tx, aunts, outcome, reader.hashes(depth, "the path of a result"))
