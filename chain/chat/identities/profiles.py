"""What identities show of themselves, and whom they block.

A block is a leaf of its own, paid for by who blocks and gone when it is taken back. It binds the blocked one alone: who
blocks may still write first. What begins something with somebody asks `require_open` of the one who is approached.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from chain.chat.ledger.records import require_identity
from chain.kernel.branch import Key, Readable, RecordKind
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account
from chain.tx.codec import bytes_field, uint_field
from chain.tx.identity_errors import AlreadyBlocked, Blocked, NotBlocked
from chain.tx.messages.chat.identities import BlockIdentity, SetProfile, UnblockIdentity
from proto.dchat.v1 import identities_pb2 as pb


class Profile(NamedTuple):
    bio: str
    link: str
    picture_sha256: bytes
    height: int

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", self.bio.encode()),
                bytes_field(b"\x12", self.link.encode()),
                bytes_field(b"\x1a", self.picture_sha256),
                uint_field(b"\x20", self.height),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Profile:
        r = pb.Profile.FromString(stored)
        return Profile(r.bio, r.link, r.picture_sha256, r.height)


PROFILE: Final = Key.of(b"cf", Profile)  # ‖ address
BLOCK: Final = Key.of(b"cB", bytes)  # ‖ who blocks ‖ who is blocked -> IdentityBlock

PROFILES: Final = RecordKind(PROFILE, pb.Profile, "the profile")
BLOCKS: Final = RecordKind(BLOCK, pb.IdentityBlock, "the block")


def require_open(state: Readable, address: bytes, *, to: bytes) -> None:
    """Whether `to` may begin something with `address`. Raises: Blocked."""
    if state.get(BLOCK + address + to) is not None:
        raise Blocked(f"by {account(address)}")


def set_profile(ctx: Context, message: SetProfile) -> Leg:
    """Raises: UnknownIdentity."""
    address, *shown = message
    require_identity(ctx.branch, address)
    ctx.branch.set(PROFILE + address, Profile(*message[1:], ctx.height) if any(shown) else None)
    ctx.branch.emit(Event.of("set_profile", address=account(address)))
    return Leg("set_profile", 0, address)


def block_identity(ctx: Context, message: BlockIdentity) -> Leg:
    """Raises: UnknownIdentity, AlreadyBlocked."""
    address, blocked = message
    require_identity(ctx.branch, address)
    key = BLOCK + address + blocked
    if ctx.branch.get(key) is not None:
        raise AlreadyBlocked(account(blocked))
    ctx.branch.set(key, uint_field(b"\x08", ctx.height))
    ctx.branch.emit(Event.of("block_identity", address=account(address), blocked=account(blocked)))
    return Leg("block_identity", 0, blocked)


def unblock_identity(ctx: Context, message: UnblockIdentity) -> Leg:
    """Raises: NotBlocked."""
    address, blocked = message
    key = BLOCK + address + blocked
    if ctx.branch.get(key) is None:
        raise NotBlocked(account(blocked))
    ctx.branch.set(key, None)
    ctx.branch.emit(Event.of("unblock_identity", address=account(address), blocked=account(blocked)))
    return Leg("unblock_identity", 0, blocked)


def handlers() -> dict[type[Any], Handler]:
    return {SetProfile: set_profile, BlockIdentity: block_identity, UnblockIdentity: unblock_identity}
