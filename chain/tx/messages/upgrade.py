"""The messages of upgrades: setting and cancelling a plan, announcing what a validator can run."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.economy import ConsensusSigner
from chain.tx.messages.kinds import BRIDGE, Kind
from chain.tx.messages.kinds.fields import check_consensus_key
from crypto.hash import ADDRESS_BYTES, HASH_BYTES, sha256
from proto.dchat.v1 import tx_pb2 as pb

NAME_BYTES_MAX: Final = 64
INFO_BYTES_MAX: Final = 4_096  # a link or a list of files for each platform
CHECKSUMS_MAX: Final = 16  # platforms
READY_NAMES_MAX: Final = 8
SOFTWARE_BYTES_MAX: Final = 64
PERMYRIAD: Final = 10_000
HEIGHT_MAX: Final = (1 << 63) - 1
POSTPONE_BLOCKS_MAX: Final = 10**9  # a century of calm blocks

READINESS_DOMAIN: Final = b"dchat/readiness/v1"

_NAME_BYTES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class SoftwareUpgrade(NamedTuple):
    authority: bytes
    name: str
    height: int
    info: str = ""
    binary_sha256: tuple[bytes, ...] = ()
    ready_share_permyriad: int = 0
    postpone_blocks: int = 0


class CancelUpgrade(NamedTuple):
    authority: bytes


class AnnounceReadiness(NamedTuple):
    sender: bytes
    consensus_key: bytes
    names: tuple[str, ...]
    software: str
    expiry_height: int
    signature: bytes


UpgradeMessage: TypeAlias = SoftwareUpgrade | CancelUpgrade | AnnounceReadiness


def is_name(name: str) -> bool:
    """Whether it names an upgrade. Not `.` or `..`: names are folders of tools."""
    encoded = name.encode()
    return 1 <= len(encoded) <= NAME_BYTES_MAX and _NAME_BYTES.issuperset(encoded) and bool(name.strip("."))


def readiness_hash(chain_id: str, message: AnnounceReadiness) -> bytes:
    """What the consensus key signs: 32 bytes, so never a vote's sign-bytes."""
    body = pb.AnnounceReadiness(
        sender=message.sender,
        consensus_key=message.consensus_key,
        names=message.names,
        software=message.software,
        expiry_height=message.expiry_height,
    )
    return sha256(READINESS_DOMAIN + chain_id.encode() + b"\x00" + body.SerializeToString(deterministic=True))


def sign_readiness(key: ConsensusSigner, chain_id: str, unsigned: AnnounceReadiness) -> AnnounceReadiness:
    """key: the consensus key that `unsigned` names."""
    assert unsigned.consensus_key == key.pub_key.bytes, unsigned
    return unsigned._replace(signature=key.sign(readiness_hash(chain_id, unsigned)))


def check_plan(plan: SoftwareUpgrade) -> None:
    """What a plan must be by itself: asked before it can be proposed, too. Raises: InvalidField."""
    if not is_name(plan.name):
        raise InvalidField(f"software_upgrade.name: 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -")
    if not 1 <= plan.height <= HEIGHT_MAX:
        raise InvalidField(f"software_upgrade.height: {plan.height}, allowed: 1 to {HEIGHT_MAX}")
    if len(plan.info.encode()) > INFO_BYTES_MAX:
        raise InvalidField(f"software_upgrade.info: above {INFO_BYTES_MAX} bytes")
    sums = plan.binary_sha256
    if len(sums) > CHECKSUMS_MAX or any(len(one) != HASH_BYTES for one in sums) or list(sums) != sorted(set(sums)):
        raise InvalidField(
            f"software_upgrade.binary_sha256: at most {CHECKSUMS_MAX} of {HASH_BYTES} bytes, ascending, no repeats"
        )
    if plan.ready_share_permyriad > PERMYRIAD:
        raise InvalidField(f"software_upgrade.ready_share_permyriad: above {PERMYRIAD}")
    if bool(plan.postpone_blocks) != bool(plan.ready_share_permyriad) or plan.postpone_blocks > POSTPONE_BLOCKS_MAX:
        raise InvalidField(
            f"software_upgrade.postpone_blocks: 1 to {POSTPONE_BLOCKS_MAX} exactly where a ready share is stated"
        )


def decode_software_upgrade(m: pb.SoftwareUpgrade) -> SoftwareUpgrade:
    if len(m.authority) != ADDRESS_BYTES:
        raise InvalidField(f"software_upgrade.authority: {len(m.authority)} bytes, expected {ADDRESS_BYTES}")
    plan = SoftwareUpgrade(
        m.authority, m.name, m.height, m.info, tuple(m.binary_sha256), m.ready_share_permyriad, m.postpone_blocks
    )
    check_plan(plan)
    return plan


def decode_cancel_upgrade(m: pb.CancelUpgrade) -> CancelUpgrade:
    if len(m.authority) != ADDRESS_BYTES:
        raise InvalidField(f"cancel_upgrade.authority: {len(m.authority)} bytes, expected {ADDRESS_BYTES}")
    return CancelUpgrade(m.authority)


def decode_announce_readiness(m: pb.AnnounceReadiness) -> AnnounceReadiness:
    where = "announce_readiness"
    if len(m.sender) != ADDRESS_BYTES:
        raise InvalidField(f"{where}.sender: {len(m.sender)} bytes, expected {ADDRESS_BYTES}")
    check_consensus_key(where, m.consensus_key, m.signature, signed="signature")
    names = tuple(m.names)
    if len(names) > READY_NAMES_MAX or not all(map(is_name, names)) or list(names) != sorted(set(names)):
        raise InvalidField(f"{where}.names: at most {READY_NAMES_MAX} names of upgrades, ascending, no repeats")
    if len(m.software.encode()) > SOFTWARE_BYTES_MAX:
        raise InvalidField(f"{where}.software: above {SOFTWARE_BYTES_MAX} bytes")
    if not 1 <= m.expiry_height <= HEIGHT_MAX:
        raise InvalidField(f"{where}.expiry_height: {m.expiry_height}, allowed: 1 to {HEIGHT_MAX}")
    return AnnounceReadiness(m.sender, m.consensus_key, names, m.software, m.expiry_height, m.signature)


KINDS: Final = (
    Kind("software_upgrade", decode_software_upgrade, SoftwareUpgrade, BRIDGE, gas.GAS_MESSAGE),
    Kind("cancel_upgrade", decode_cancel_upgrade, CancelUpgrade, BRIDGE, gas.GAS_MESSAGE),
    Kind(
        "announce_readiness", decode_announce_readiness, AnnounceReadiness, BRIDGE,
        gas.GAS_MESSAGE + gas.GAS_SIGNATURE + gas.GAS_STAYS,  # it outlives the validator
        consensus_key=lambda message: message.consensus_key,
    ),
)  # fmt: skip
