"""Key policies: who may sign for an account; and the addresses that follow from them.

A policy is a single Ed25519 key, or so many of several members, each a key or a group of keys: nested once, by the
schema, so that nothing here recurses. What has one meaning has one encoding (`read_policy`), and a policy is satisfied
by exactly what it needs: a signature more would be bytes that no one asked for, and another envelope of the same body.
A policy is kept, compared and hashed as its canonical bytes.
Source: proto/dchat/v1/tx.proto; docs/decisions/0013.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from chain.tx.codec import bytes_field, message_field, uint_field
from chain.tx.errors import InvalidField
from crypto.hash import ADDRESS_BYTES, sha256
from crypto.keys import ED25519_KEY_BYTES
from proto.dchat.v1 import tx_pb2 as pb

ADDRESS_DOMAIN: Final = b"dchat/address"
POLICY_ED25519: Final = b"\x0a\x20"  # canonical KeyPolicy{ed25519}: this, then the key
SIGNATURES_MAX: Final = 16  # of a transaction, by all its signers
KEYS_MAX: Final = SIGNATURES_MAX  # of a policy: all of them can sign; 600 bytes of each record that keeps it
POLICIES_REMEMBERED: Final = 1_024  # parsed; 2 kB each at most


class Group(NamedTuple):
    """So many of these keys. A single key is a group of one."""

    needed: int
    keys: tuple[bytes, ...]


class Policy(NamedTuple):
    """So many of these groups. The policy of a single key is one group of one."""

    needed: int
    groups: tuple[Group, ...]

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, in the policy's order."""
        return tuple([key for group in self.groups for key in group.keys])

    @property
    def signatures_most(self) -> int:
        """How many signatures satisfy it at most: a group that needs fewer may stand in for another."""
        return sum(sorted(group.needed for group in self.groups)[-self.needed :])


def policy_address(policy: bytes) -> bytes:
    """The address of the account whose first key policy this is. policy: canonical KeyPolicy."""
    return sha256(ADDRESS_DOMAIN + policy)[:ADDRESS_BYTES]


def single_key_policy(public_key: bytes) -> bytes:
    """Canonical KeyPolicy of one Ed25519 key."""
    assert len(public_key) == ED25519_KEY_BYTES, len(public_key)
    return POLICY_ED25519 + public_key


def address_of_key(public_key: bytes) -> bytes:
    """The account of a single Ed25519 key."""
    return policy_address(single_key_policy(public_key))


def threshold_policy(needed: int, members: Iterable[Group]) -> bytes:
    """Canonical KeyPolicy of `needed` of `members`, in whatever order these and their keys are given.

    Raises: InvalidField.
    """
    groups = sorted((Group(group.needed, tuple(sorted(group.keys))) for group in members), key=lambda group: group.keys)
    policy = Policy(needed, tuple(groups))
    _check("policy", policy)
    return _encode(policy)


def read_policy(where: str, policy: pb.KeyPolicy) -> bytes:
    """The canonical bytes of a policy that somebody sent. Raises: InvalidField, which names `where`."""
    key = policy.ed25519
    if len(key) == ED25519_KEY_BYTES:
        return POLICY_ED25519 + key
    if policy.WhichOneof("kind") != "threshold":
        raise InvalidField(f"{where}: neither an Ed25519 key of 32 bytes nor a threshold")
    threshold = policy.threshold
    if not 2 <= len(threshold.members) <= KEYS_MAX:
        raise InvalidField(f"{where}: {len(threshold.members)} members, allowed: 2 to {KEYS_MAX}")
    if sum(len(member.ed25519) for member in threshold.members) > KEYS_MAX:
        raise InvalidField(f"{where}: above {KEYS_MAX} keys")
    found = Policy(
        threshold.needed, tuple([Group(member.needed, tuple(member.ed25519)) for member in threshold.members])
    )
    _check(where, found)
    return _encode(found)


def _check(where: str, policy: Policy) -> None:
    """Raises: InvalidField."""
    groups = policy.groups
    if not 2 <= len(groups) <= KEYS_MAX or not 1 <= policy.needed <= len(groups):
        raise InvalidField(f"{where}: needs {policy.needed} of {len(groups)} members; allowed: 1 to all, of 2 and more")
    keys = policy.keys
    if len(keys) > KEYS_MAX or len(set(keys)) != len(keys):
        raise InvalidField(f"{where}: {KEYS_MAX} keys at most, none twice")
    for group in groups:
        if not 1 <= group.needed <= len(group.keys):
            raise InvalidField(f"{where}: a group needs {group.needed} of {len(group.keys)} keys; allowed: 1 to all")
        if any(len(key) != ED25519_KEY_BYTES for key in group.keys):
            raise InvalidField(f"{where}: a key is not of {ED25519_KEY_BYTES} bytes")
        if not _ascends(group.keys):
            raise InvalidField(f"{where}: keys ascend in their group")
    if not _ascends([group.keys[0] for group in groups]):
        raise InvalidField(f"{where}: members ascend by their first key")


def _ascends(keys: Sequence[bytes]) -> bool:
    return all(left < right for left, right in pairwise(keys))


def _encode(policy: Policy) -> bytes:
    members = [
        message_field(
            b"\x12", b"".join([uint_field(b"\x08", group.needed), *[bytes_field(b"\x12", key) for key in group.keys]])
        )
        for group in policy.groups
    ]
    return message_field(b"\x12", uint_field(b"\x08", policy.needed) + b"".join(members))


@lru_cache(maxsize=POLICIES_REMEMBERED)
def parse_policy(policy: bytes) -> Policy:
    """policy: canonical, as `read_policy` returned it."""
    if policy.startswith(POLICY_ED25519):
        return Policy(1, (Group(1, (policy[len(POLICY_ED25519) :],)),))
    threshold = pb.KeyPolicy.FromString(policy).threshold
    groups = tuple([Group(member.needed, tuple(member.ed25519)) for member in threshold.members])
    return Policy(threshold.needed, groups)


def choose(policy: bytes, keys: Iterable[bytes]) -> tuple[bytes, ...] | None:
    """Of keys that have signed, exactly as many as satisfy the policy, ascending: as few as do. None: they do not."""
    parsed, given = parse_policy(policy), frozenset(keys)
    ready = [[key for key in group.keys if key in given][: group.needed] for group in parsed.groups]
    whole = [found for found, group in zip(ready, parsed.groups, strict=True) if len(found) == group.needed]
    if len(whole) < parsed.needed:
        return None
    return tuple(sorted(key for found in sorted(whole, key=len)[: parsed.needed] for key in found))


def fullest(policy: bytes) -> tuple[bytes, ...]:
    """Keys that satisfy it together, as many as ever do, ascending."""
    parsed = parse_policy(policy)
    largest = sorted(parsed.groups, key=lambda group: -group.needed)[: parsed.needed]
    return tuple(sorted(key for group in largest for key in group.keys[: group.needed]))


def is_satisfied(policy: bytes, keys: Sequence[bytes]) -> bool:
    """Whether signatures by `keys` (none twice) are exactly what the policy asks: not fewer, and none beside."""
    parsed = parse_policy(policy)
    given = frozenset(keys)
    satisfied = used = 0
    for group in parsed.groups:
        hits = sum(key in given for key in group.keys)
        if hits not in (0, group.needed):
            return False
        satisfied += hits > 0
        used += hits
    return satisfied == parsed.needed and used == len(keys)
