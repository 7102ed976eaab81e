"""Device keys: keys beside an identity's own that sign for it in the chat lane, within a role and until a time.

The key policy (the root) adds and revokes them; a device does neither, and signs nothing in another lane: what touches
money always needs the root. A device's role allows the kinds of messages that ask for it or a lower one (`Kind.role`).
Past its time (a block's) it signs nothing; a revocation holds from the next transaction on, and so does a change of the
root's keys, which revokes all of them: who changes them because of a thief is rid of the thief's devices as well.
At most DEVICES_MAX of an identity, in one record; those past their time make room. Each has sequences of its own; where
one was revoked the identity's keys without a sequence begin behind it, so that nothing it signed runs when it returns.
The plain path costs what it cost: devices are looked at where the root's signatures are not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from chain.chat.ledger.records import IDENTITY, Identity, require_identity
from chain.kernel.auth import Sequences
from chain.kernel.branch import Key, Readable, RecordKind, Scan, State
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some, time_text
from chain.tx.codec import bytes_field, message_field, uint32_field, uint_field
from chain.tx.envelope.tx import Tx
from chain.tx.errors import Unauthorised
from chain.tx.identity_errors import DeviceExpired, DeviceRoleTooLow, TooManyDevices, UnknownDevice
from chain.tx.messages import KIND_OF
from chain.tx.messages.chat.devices import DEVICES_MAX, AddDevice, RevokeDevice
from chain.tx.messages.kinds import DEVICE_ROLE_NAMES
from chain.tx.policies import parse_policy, single_key_policy
from consensus.formats.units import NS_PER_S
from proto.dchat.v1 import identities_pb2 as pb


class Device(NamedTuple):
    """role: of `chain.tx.messages.kinds`. expiry_time_ns: from this block time on it signs nothing."""

    public_key: bytes
    role: int
    expiry_time_ns: int
    height: int


class Devices(NamedTuple):
    """An identity's, in the order in which they were added."""

    of: tuple[Device, ...]

    def get(self, public_key: bytes) -> Device | None:
        return next((device for device in self.of if device.public_key == public_key), None)

    def encode(self) -> bytes:
        return b"".join([message_field(b"\x0a", _encode(device)) for device in self.of])

    @staticmethod
    def decode(stored: bytes) -> Devices:
        found = pb.DeviceKeys.FromString(stored).keys
        return Devices(tuple([Device(d.public_key, d.role, d.expiry_time_ns, d.height) for d in found]))


def _encode(device: Device) -> bytes:
    public_key, role, expiry_time_ns, height = device
    return b"".join(
        (
            bytes_field(b"\x0a", public_key),
            uint32_field(b"\x10", role),
            uint_field(b"\x18", expiry_time_ns),
            uint_field(b"\x20", height),
        )
    )


DEVICE: Final = Key.of(b"cd", Devices)  # ‖ address; absent: it has none

DEVICES: Final = RecordKind(DEVICE, pb.DeviceKeys, "the device keys")


# ------------------------------------------------------------------------------ who may sign


def acting(ctx: Context, tx: Tx, index: int, identity: Identity) -> bytes:
    """Where the root did not sign: the policy of the device that did, as signer `index` in the chat lane.

    That the signature is valid is not looked at here. Raises: Unauthorised, DeviceExpired, DeviceRoleTooLow.
    """
    address = identity.address
    keys = [key for signer, key, _ in tx.signatures if signer == index]
    found = ctx.branch.get(DEVICE + address)
    device = found.get(keys[0]) if found is not None and len(keys) == 1 else None
    if device is None:
        raise Unauthorised(f"signer {index}: neither the signatures that its policy needs nor one of a device of it")
    if ctx.time_ns >= device.expiry_time_ns:
        raise DeviceExpired(f"signer {index}: at {time_text(device.expiry_time_ns)}")
    for message in tx.messages:
        kind = KIND_OF[type(message)]
        if kind.role > device.role and message[0] == address:
            raise DeviceRoleTooLow(
                f"{kind.name} takes {DEVICE_ROLE_NAMES[kind.role]}, it has {DEVICE_ROLE_NAMES[device.role]}"
            )
    return single_key_policy(device.public_key)


def may_sign(state: Readable, identity: Identity, public_key: bytes, time_ns: int) -> bool:
    """Whether a key speaks for an identity by itself, as the root's only one or a device."""
    if single_key_policy(public_key) == identity.policy:
        return True
    found = state.get(DEVICE + identity.address)
    device = found.get(public_key) if found is not None else None
    return device is not None and time_ns < device.expiry_time_ns


def revoke_all(state: State, address: bytes) -> None:
    """With a change of the root's keys, which sees to the sequences itself (`chain.kernel.auth.rotated`)."""
    if state.get(DEVICE + address) is not None:
        state.set(DEVICE + address, None)


# ------------------------------------------------------------------------------ messages


def add_device(ctx: Context, message: AddDevice) -> Leg:
    """A known one gets another role and time. Raises: UnknownIdentity, TooManyDevices, Unauthorised (this
    bundle changed the keys: who hands an account over keeps no device of it)."""
    address, public_key, role, lifetime_s = message
    if any(leg.kind == "rotate_keys" and leg.subject == address for leg in ctx.legs):
        raise Unauthorised("its keys changed in this bundle: the new ones add devices, in another")
    branch = ctx.branch
    identity = require_identity(branch, address)
    old = branch.get(DEVICE + address) or Devices(())
    stay = [d for d in old.of if d.expiry_time_ns > ctx.time_ns and d.public_key != public_key]
    if len(stay) >= DEVICES_MAX:
        raise TooManyDevices(f"{len(stay)}, allowed: {DEVICES_MAX}")
    over = [d.public_key for d in old.of if d.expiry_time_ns <= ctx.time_ns and d.public_key != public_key]
    _retire(branch, identity, over)
    ctx.doubted.add(IDENTITY + address)  # it may have a lower role or less time, or be gone: what it signed may wait
    expiry_time_ns = ctx.time_ns + lifetime_s * NS_PER_S
    branch.set(DEVICE + address, Devices((*stay, Device(public_key, role, expiry_time_ns, ctx.height))))
    told = {"role": DEVICE_ROLE_NAMES[role], "expiry_time": time_text(expiry_time_ns)}
    branch.emit(Event.of("add_device", address=account(address), public_key=public_key.hex(), **told))
    return Leg("add_device", 0, public_key)


def revoke_device(ctx: Context, message: RevokeDevice) -> Leg:
    """Raises: UnknownIdentity, UnknownDevice."""
    address, public_key = message
    branch = ctx.branch
    identity = require_identity(branch, address)
    old = branch.get(DEVICE + address)
    if old is None or old.get(public_key) is None:
        raise UnknownDevice(public_key.hex())
    stay = [device for device in old.of if device.public_key != public_key]
    _retire(branch, identity, [public_key])
    ctx.doubted.add(IDENTITY + address)
    branch.set(DEVICE + address, Devices(tuple(stay)) if stay else None)
    branch.emit(Event.of("revoke_device", address=account(address), public_key=public_key.hex()))
    return Leg("revoke_device", 0, public_key)


def _retire(state: State, identity: Identity, gone: list[bytes]) -> None:
    """Forget the sequences of devices that are gone, and let every key that has none begin behind them."""
    sequences = retired(identity.sequences, gone, identity.policy)
    if sequences != identity.sequences:
        state.set(IDENTITY + identity.address, identity.with_use(sequences, identity.allowance))


def retired(sequences: Sequences, gone: list[bytes], policy: bytes) -> Sequences:
    """policy: the root's, whose keys keep their sequences."""
    roots = parse_policy(policy).keys
    known = dict(sequences)
    behind = [known.pop(key) for key in gone if key in known and key not in roots]
    if behind:
        known[b""] = max(known.get(b"", 0), *behind)
    return tuple(sorted(known.items()))


def handlers() -> dict[type[Any], Handler]:
    return {AddDevice: add_device, RevokeDevice: revoke_device}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    wrong = []
    for key, found in scan(DEVICE):
        keys = {device.public_key for device in found.of}
        identity = state.get(IDENTITY + key[len(DEVICE) :])
        if not 1 <= len(found.of) <= DEVICES_MAX or len(keys) != len(found.of) or identity is None:
            wrong.append(key[len(DEVICE) :].hex())
    yield "identities: devices are an identity's, bounded, each once", not wrong, f"are not: {some(wrong)}"
