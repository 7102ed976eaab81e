"""`dchat tx` and `dchat query` of identities: name and allowance, profile, blocks, prekeys, devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chain.chat.identities.devices import DEVICES
from chain.chat.identities.prekeys import LOW_STOCK, PREKEYS
from chain.chat.identities.profiles import BLOCKS, PROFILES
from chain.tx.messages import BuyAllowance, Message, RegisterBurner, RegisterIdentity
from chain.tx.messages.chat.devices import AddDevice, RevokeDevice
from chain.tx.messages.chat.identities import BlockIdentity, SetProfile, UnblockIdentity
from chain.tx.messages.chat.prekeys import (
    PREKEY_BYTES,
    USE_LAST_RESORT,
    USE_SIGNED,
    ClaimPrekey,
    PublishPrekeys,
    SignedPrekey,
    prekey_hash,
)
from chain.tx.messages.kinds import DEVICE_ROLE_NAMES, ROLE_ADMIN
from crypto.keys import Ed25519PrivKey
from dchat.cli.commands.query_commands import ask, ask_record, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, load_identity
from dchat.cli.terminal.base import Command
from dchat.cli.terminal.times import Length, length_of
from dchat.cli.terminal.trust import signing_facts
from dchat.client.front.amounts import parse_amount
from proto.dchat.v1 import identities_pb2 as pb


class Hex32(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """32 bytes in hex: a hash, or a public key."""

    name = "HEX"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        try:
            found = value if isinstance(value, bytes) else bytes.fromhex(str(value))
        except ValueError:
            found = b""
        if len(found) != PREKEY_BYTES:
            self.fail(f"expected {2 * PREKEY_BYTES} hex characters", param, ctx)
        return found


who_option = click.option("--who", type=Address(), required=True, help="The other account.")


def _address(text: str) -> bytes:
    return Address().convert(text, None, None)


# ------------------------------------------------------------------------------ identity


@tx.command(cls=Command)
@click.option("--name", required=True, help="3 to 32 of a-z 0-9 _ -; unique.")
@click.option("--display", default="", help="Up to 64 bytes.")
@click.option("--lifetime", type=Length(), help="A burner: it ends by itself after so long, 60s to 366d.")
@sending
def register(name: str, display: str, lifetime: int | None, **options: Any) -> None:
    """Create the chat identity of your account, with a starter allowance."""
    send(lambda me: [registration(me, name, display, lifetime or 0)], options)


def registration(me: bytes, name: str, display: str, lifetime_s: int) -> Message:
    """lifetime_s 0: it lasts."""
    return RegisterBurner(me, name, display, lifetime_s) if lifetime_s else RegisterIdentity(me, name, display)


@tx.command("buy-allowance", cls=Command)
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def buy_allowance(amount: int, **options: Any) -> None:
    """Turn DCHAT into messages and bytes on the chat chain."""
    send(lambda me: [BuyAllowance(me, amount)], options)


@query.command("identity", cls=Command)
@click.argument("who")
@proving
def query_identity(who: str, **how: Any) -> None:
    """An identity of the chat chain, by address or name."""
    if who.startswith("dchat1") or who.endswith(".json"):
        address = Address().convert(who, None, None)
        ask(
            lambda c, prove, at: c.identity(address, height=at, prove=prove), lambda p, a: p.identity(a, address), **how
        )
    else:
        ask(
            lambda c, prove, at: c.identity(name=who, height=at, prove=prove),
            lambda p, a: p.named_identity(a, who),
            **how,
        )


# ------------------------------------------------------------------------------ profile


@tx.command("set-profile", cls=Command)
@click.option("--bio", default="", help="Up to 512 bytes.")
@click.option("--link", default="", help="Up to 256 characters of printable ASCII.")
@click.option("--picture", type=Hex32(), help="SHA-256 of a picture that is stored elsewhere.")
@sending
def set_profile(bio: str, link: str, picture: bytes | None, **options: Any) -> None:
    """Show something of yourself, in place of what you showed; with nothing given, nothing."""
    send(lambda me: [SetProfile(me, bio, link, picture or b"")], options)


@query.command("profile", cls=Command)
@click.argument("who", type=Address())
@proving
def query_profile(who: bytes, **how: Any) -> None:
    """What somebody shows of themselves."""
    ask_record(PROFILES, who, **how)


# ------------------------------------------------------------------------------ blocks


@tx.command("block", cls=Command)
@who_option
@sending
def block_identity(who: bytes, **options: Any) -> None:
    """Have somebody begin nothing with you any more."""
    send(lambda me: [BlockIdentity(me, who)], options)


@tx.command("unblock", cls=Command)
@who_option
@sending
def unblock_identity(who: bytes, **options: Any) -> None:
    """Take a block back."""
    send(lambda me: [UnblockIdentity(me, who)], options)


@query.command("identity-block", cls=Command)
@click.argument("who", type=Address())
@click.argument("blocked", type=Address())
@proving
def query_identity_block(who: bytes, blocked: bytes, **how: Any) -> None:
    """Whether WHO blocks BLOCKED, and since which block."""
    ask_record(BLOCKS, who + blocked, **how)


# ------------------------------------------------------------------------------ prekeys


def signed_prekey(key: Ed25519PrivKey, chain_id: str, address: bytes, use: int, prekey: bytes) -> SignedPrekey:
    """A prekey as `address` publishes it, signed by one of its keys."""
    return SignedPrekey(prekey, key.pub_key.bytes, key.sign(prekey_hash(chain_id, address, use, prekey)))


@tx.command("publish-prekeys", cls=Command)
@click.option("--signed", type=Hex32(), help="An X25519 public key. Default: the one that you published last.")
@click.option("--last-resort", type=Hex32(), help="Given when no one-time prekey is left. Default: likewise.")
@click.option("--one-time", type=Hex32(), multiple=True, help="One that is handed out once; up to 100 times.")
@click.option("--discard", is_flag=True, help="Forget the one-time prekeys that are left; with nothing else, all.")
@sending
def publish_prekeys(
    signed: bytes | None, last_resort: bytes | None, one_time: tuple[bytes, ...], discard: bool, **options: Any
) -> None:
    """Give others what they need to write to you while you are away. Your key signs the first two."""
    facts = signing_facts(options)
    key = load_identity(options["sender"]).wallet.key

    def message(me: bytes) -> PublishPrekeys:
        made = [
            signed_prekey(key, facts.chain_id, me, use, prekey) if prekey else None
            for prekey, use in ((signed, USE_SIGNED), (last_resort, USE_LAST_RESORT))
        ]
        return PublishPrekeys(me, made[0], made[1], one_time, discard)

    send(lambda me: [message(me)], options)


@tx.command("claim-prekey", cls=Command)
@who_option
@sending
def claim_prekey(who: bytes, **options: Any) -> None:
    """Take somebody's next one-time prekey: the `subject` of the leg in the receipt.

    An empty subject: none is left, use the last resort (dchat query prekeys).
    """
    send(lambda me: [ClaimPrekey(me, who)], options)


@query.command("prekeys", cls=Command)
@click.argument("who", type=Address())
@proving
def query_prekeys(who: bytes, **how: Any) -> None:
    """An identity's prekeys, how many one-time ones are left, and whether these are few."""

    def stock(prekeys: pb.Prekeys) -> dict[str, Any]:
        left = len(prekeys.one_time)
        return {"one_time_left": left, "low": left < LOW_STOCK}

    ask_record(PREKEYS, who, derived=stock, **how)


# ------------------------------------------------------------------------------ devices

ROLES = {name: role for role, name in DEVICE_ROLE_NAMES.items() if role <= ROLE_ADMIN}


class PublicKey(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """An Ed25519 public key in hex, or an identity file of `dchat keygen --for`."""

    name = "KEY"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if str(value).endswith(".json"):
            return load_identity(Path(str(value))).wallet.public_key
        return Hex32().convert(value, param, ctx)


device_option = click.option("--device", type=PublicKey(), required=True, help="Its public key, or identity file.")


@tx.command("add-device", cls=Command)
@device_option
@click.option("--role", type=click.Choice(list(ROLES)), default="post", show_default=True)
@click.option("--lifetime", type=Length(), default="720h", show_default=True, help="Up to 366 days (8784h).")
@sending
def add_device(device: bytes, role: str, lifetime: int, **options: Any) -> None:
    """Let another key sign for you on the chat chain, within a role and for a time.

    \b
    dchat keygen --for dchat1... --output phone.json
    dchat tx add-device --device phone.json
    dchat tx post --from phone.json --channel lobby --text "from my phone"
    """
    send(lambda me: [AddDevice(me, device, ROLES[role], lifetime)], options)


@tx.command("revoke-device", cls=Command)
@device_option
@sending
def revoke_device(device: bytes, **options: Any) -> None:
    """Let a device key sign nothing more, from this block on."""
    send(lambda me: [RevokeDevice(me, device)], options)


@query.command("devices", cls=Command)
@click.argument("who", type=Address())
@proving
def query_devices(who: bytes, **how: Any) -> None:
    """An identity's device keys: role (1 post, 2 moderate, 3 admin) and until when."""
    ask_record(DEVICES, who, **how)


LEGS.update(
    {
        "register": (
            frozenset({"name"}),
            frozenset({"display", "lifetime"}),
            lambda me, leg: registration(me, leg["name"], leg.get("display", ""), length_of(leg.get("lifetime", "0"))),
        ),
        "buy-allowance": (
            frozenset({"amount"}),
            frozenset(),
            lambda me, leg: BuyAllowance(me, parse_amount(leg["amount"], least=1)),
        ),
        "set-profile": (
            frozenset(),
            frozenset({"bio", "link", "picture"}),
            lambda me, leg: SetProfile(
                me, leg.get("bio", ""), leg.get("link", ""), bytes.fromhex(leg.get("picture", ""))
            ),
        ),
        "block": (frozenset({"who"}), frozenset(), lambda me, leg: BlockIdentity(me, _address(leg["who"]))),
        "unblock": (frozenset({"who"}), frozenset(), lambda me, leg: UnblockIdentity(me, _address(leg["who"]))),
        "claim-prekey": (frozenset({"who"}), frozenset(), lambda me, leg: ClaimPrekey(me, _address(leg["who"]))),
    }
)
