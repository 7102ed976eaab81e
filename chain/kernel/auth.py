"""Who may act for an account, and in which order: key policies and sequences. Shared by both machines, each of which
keeps its own records of them.
"""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

from chain.kernel.branch import SPACES, Key, Readable, State
from chain.tx.codec import UINT64_MAX, bytes_field, height_bytes, message_field, uint_field
from chain.tx.envelope.tx import SignerEntry, Tx
from chain.tx.errors import PolicyMismatch, PolicyMissing, Unauthorised, WrongSequence
from chain.tx.policies import POLICY_ED25519, is_satisfied, parse_policy
from proto.dchat.v1 import state_pb2 as pb

# (public key, next), ascending by key. An entry with the empty key: where every key begins that has none (`rotated`).
Sequences: TypeAlias = tuple[tuple[bytes, int], ...]


def authorise(tx: Tx, index: int, recorded: bytes | None) -> bytes:
    """Check that signer `index` gave what the recorded policy asks. Returns the policy that holds.

    That the signatures are valid is not looked at here.
    Raises: PolicyMissing, PolicyMismatch, Unauthorised.
    """
    given = tx.signers[index].policy
    if recorded is None:
        if given is None:
            raise PolicyMissing(f"signer {index}")
        recorded = given  # its hash is the address: checked when decoded
    elif given is not None and given != recorded:
        raise PolicyMismatch(f"signer {index}")
    signatures = tx.signatures
    keys = signatures if len(signatures) == 1 else [entry for entry in signatures if entry[0] == index]
    if (len(keys) != 1 or keys[0][0] != index or POLICY_ED25519 + keys[0][1] != recorded) and not is_satisfied(
        recorded, [key for signer, key, _ in keys if signer == index]
    ):
        raise Unauthorised(f"signer {index}'s")
    return recorded


def advance(entry: SignerEntry, sequences: Sequences, policy: bytes) -> Sequences:
    """The sequences after an ordered transaction. Raises: WrongSequence, Unauthorised (a key that is not its)."""
    key, sequence = entry.sequence_key, entry.sequence
    if POLICY_ED25519 + key != policy and key not in parse_policy(policy).keys:
        raise Unauthorised("the sequence's key is not one of the account's")
    for position, (known, expected) in enumerate(sequences):
        if known == key:
            if sequence != expected:
                raise WrongSequence(got=sequence, expected=expected)
            return (*sequences[:position], (key, sequence + 1), *sequences[position + 1 :])
    begins = _begins(sequences)
    if sequence != begins:
        raise WrongSequence(got=sequence, expected=begins)
    return tuple(sorted((*sequences, (key, sequence + 1))))


def _begins(sequences: Sequences) -> int:
    """Where a key begins that has no entry."""
    return sequences[0][1] if sequences and not sequences[0][0] else 0


def rotated(sequences: Sequences, *, before: bytes, after: bytes) -> Sequences:
    """The sequences of an account whose policy was `before` and is `after`.

    A key that stays goes on where it was. Those of keys that go are dropped, and every key that has none begins where
    the furthest of them ended: whoever comes back, whenever, finds all its sequences of before used.
    """
    stays = frozenset(parse_policy(after).keys)
    known, begins = dict(sequences), _begins(sequences)
    floor = max([begins, *[following for key, following in sequences if key and key not in stays]])
    kept = {key: following for key, following in known.items() if key in stays}
    if floor > begins:
        for key in parse_policy(before).keys:
            if key in stays:
                kept.setdefault(key, begins)
    return tuple(sorted({**kept, b"": floor}.items())) if floor else tuple(sorted(kept.items()))


def back_to(sequences: Sequences, entry: SignerEntry) -> Sequences:
    """As they were before the transaction of that entry, and those after it by the same key. They never go on: of
    several that leave, in whatever order, the first decides."""
    key, sequence = entry.sequence_key, entry.sequence
    return tuple([(known, min(sequence, following) if known == key else following) for known, following in sequences])


def furthest(sequences: Sequences, others: Sequences) -> Sequences:
    known = dict(sequences)
    for key, following in others:
        known[key] = max(following, known.get(key, 0))
    return tuple(sorted(known.items()))


def sequences_fit(sequences: Sequences) -> bool:
    for _, following in sequences:  # noqa: SIM110  # once a payment: a third of what `all` takes
        if not 0 <= following <= UINT64_MAX:
            return False
    return True


def waits_between(committed: Sequences, foreseen: Sequences) -> int:
    """How many ordered transactions lead from the committed sequences to the foreseen ones; -1: none do."""
    if committed == foreseen:
        return 0
    known, count, begins = dict(committed), 0, _begins(committed)
    for key, following in foreseen:
        ahead = following - known.pop(key, begins)
        if ahead < 0:
            return -1
        count += ahead
    return -1 if known else count


def encode_sequences(tag: bytes, sequences: Sequences) -> bytes:
    """The repeated KeySequence field with `tag`."""
    return b"".join(
        [message_field(tag, bytes_field(b"\x0a", key) + uint_field(b"\x10", following)) for key, following in sequences]
    )


P = TypeVar("P", pb.Account, pb.Identity)


def read_policy(record: P) -> bytes | None:
    key = record.policy.ed25519
    if key:
        return POLICY_ED25519 + key
    return record.policy.SerializeToString(deterministic=True) if record.HasField("policy") else None


def read_sequences(record: P) -> Sequences:
    return tuple([(entry.public_key, entry.next) for entry in record.sequences])


EPOCHS: Final = b"E"  # tag ‖ E ‖ address -> 8 bytes; absent: 0


class Epochs:
    """In one machine's store: which epoch each account is in. What it let others do, or promised, in an earlier one is
    void.

    One begins where an account is taken back from whoever had its keys: what that one gave away by them would else
    outlive them. Whatever rests on an account's word keeps the epoch that it was given in, compared with the one of now
    when it is used or due. So a new epoch costs one record, however much it ends; nothing is searched for.
    """

    __slots__ = ("_key",)

    def __init__(self, tag: bytes) -> None:
        self._key = Key.of(tag + EPOCHS, bytes)

    def of(self, state: Readable, address: bytes) -> int:
        found = state.get(self._key + address)
        return int.from_bytes(found, "big") if found is not None else 0

    def place(self, address: bytes) -> tuple[str, bytes]:
        """The store and the key in it, for whoever reads from outside."""
        return SPACES[self._key[0]][0], self._key[1:] + address

    def begin(self, state: State, address: bytes) -> None:
        """The next one."""
        state.set(self._key + address, height_bytes(self.of(state, address) + 1))
