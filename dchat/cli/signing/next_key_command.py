"""`dchat signer next-key`: the key that a home's validator is to change over to, made, put away again, or taken back.

The key is made without a node. Where one of the home's chain answers, it is asked what the chain would say of the
change, by its word: a key that the chain refuses for weeks is better not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import click

from chain.kernel.event_text import consensus
from chain.tx.envelope.build import Shared
from chain.tx.messages.economy import RotateConsensusKey, prove_possession
from chain.tx.policies import read_policy
from crypto.keys import ED25519, PrivKey, PubKey
from crypto.mldsa import ML_DSA_65
from dchat.cli.terminal.ask import client_of, node_addresses, node_option
from dchat.cli.terminal.base import Command, Exit, Refusal, current_home, echo, hex_text
from dchat.client.client import Client, ClientError, quoted
from dchat.client.wallet import Outcome, Session
from dchat.home import identity
from dchat.home.errors import HomeError, IdentityError
from dchat.home.home import Home, check_key_type, known_genesis
from dchat.home.key_file import HOLDERS, KeyFile, passphrase_of
from dchat.signer import discarded
from dchat.signer.files import SignerFiles
from proto.dchat.v1 import staking_service_pb2 as pb

ASK_S: Final = 10.0  # for all that is asked: the key is made either way

DISCARD: Final = "dchat signer next-key --discard"
TAKE_BACK: Final = "dchat signer next-key --take-back"

T = TypeVar("T")


class Unasked(Exception):
    """Nobody could be asked of the chain, and why."""


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except HomeError as error:
        raise Refusal(str(error), Exit.USAGE) from None


@click.command("next-key", cls=Command)
@click.option(
    "--key-type",
    type=click.Choice((ED25519, ML_DSA_65)),
    help="The new key's type; a chain takes those that its validator.pub_key_types name. Default: as the key has it.",
)
@click.option("--discard", is_flag=True, help="Put the next key and its record away, if no block told the chain of it.")
@click.option("--never-told", is_flag=True, help="With --discard: I know that, ask no node.")
@click.option("--take-back", metavar="ADDRESS", help="Make a discarded key the next one again, with its record.")
@node_option
def next_key(key_type: str | None, discard: bool, never_told: bool, take_back: str | None, node: str | None) -> None:
    """Make the key that this home's validator is to change over to, with its empty record. Nothing is overwritten.

    The node may run. Then: dchat tx stake rotate-key. Where this home's key is under a passphrase, the new one is put
    under the same. For a key on a token or at a service see docs/signer.md. Where a node answers, it is asked whether
    the chain would take the change now.
    """
    if (never_told and not discard) or (discard and key_type):
        raise Refusal("--never-told goes with --discard, and --key-type with a key that is made", Exit.USAGE)
    if take_back is not None and (discard or key_type):
        raise Refusal("--take-back goes without --discard and --key-type", Exit.USAGE)
    home, config = current_home()
    files = SignerFiles(home.next_validator_key, home.next_sign_state, home.passphrase)
    with _plainly():
        if discard:
            _discard(home, files, node, ask=not never_told)
            return
        if take_back is not None:
            discarded.take_back(home, files, take_back)
            echo(f"key file {files.key}")
            echo(f"validator address {consensus(files.load_key_file().pub_key.address)}")
            return
        now = KeyFile.read(home.validator_key)
        if now.held or config.hsm.enable:
            raise HomeError(
                f"{home.validator_key}: this validator's key is {HOLDERS.get(now.held, 'held elsewhere')}: make the "
                "next one there (docs/signer.md, Change a key)"
            )
        kind = key_type or now.pub_key.type
        check_key_type(home, kind)
        _check_none(files)
        said = passphrase_of(home.passphrase, home.validator_key) if now.encrypted else None
        if said is not None:
            now.opened_by(said)  # by another one the node could not open it when its turn comes
        files.make(kind, said)
        file = files.load_key_file()
        key = file.opened_by(said) if said is not None else files.load_key()
    echo(f"key file {files.key}")
    echo(f"record {files.state}")
    echo(f"public key {hex_text(file.pub_key.bytes)}")
    echo(f"validator address {consensus(file.pub_key.address)}")
    _tell_what_comes(home, now.pub_key, key, node)


def _check_none(files: SignerFiles) -> None:
    """Raises HomeError: a next key, or its record, is there."""
    try:
        files.check_new()
    except HomeError as error:
        raise HomeError(f"{error}; to be rid of this one: {DISCARD}") from None


def _tell_what_comes(home: Home, now: PubKey, key: PrivKey, node: str | None) -> None:
    tell = "dchat tx stake rotate-key"
    try:
        refused = _asked(home, node, lambda client: _refusal(client, home, now, key))
    except (Unasked, HomeError) as error:
        echo(
            f"next, with the operator's account: {tell}; no node was asked whether the chain takes it: {error}",
            err=True,
        )
        return
    if refused:
        echo(
            f"warning: by the node's word the chain would refuse this change now: {refused}. The key is made, and may "
            f"wait; to be rid of it: {DISCARD}",
            err=True,
        )
        return
    echo(f"next, with the operator's account: {tell}", err=True)


def _asked(home: Home, node: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """What `work` finds by a node of the home's chain that is not behind. Raises Unasked, HomeError."""
    genesis = known_genesis(home)
    if genesis is None:
        raise Unasked(f"{home.genesis} is missing, so that no chain is known here")

    async def main() -> T:
        async with asyncio.timeout(ASK_S), client_of(node_addresses(node)) as client:
            status = await client.status()
            if status.chain_id != genesis.chain_id:
                raise Unasked(
                    f"the node is of the chain {quoted(status.chain_id)!r}, this home of {genesis.chain_id!r}"
                )
            if status.catching_up:
                raise Unasked("the node is behind its chain")
            return await work(client)

    try:
        return asyncio.run(main())
    except TimeoutError:
        raise Unasked(f"it gave no answer in {ASK_S:.0f} s") from None
    except (ClientError, Refusal, ValueError) as error:
        raise Unasked(str(error)) from None


async def _validator(client: Client, key: PubKey) -> pb.ValidatorInfo | None:
    """Whose key this is, or was."""
    request = pb.GetStakingValidatorRequest(consensus_address=key.address)
    answer: pb.GetStakingValidatorResponse = await client.call(client.staking.GetStakingValidator, request)
    return answer.validator if answer.HasField("validator") else None


async def _refusal(client: Client, home: Home, now: PubKey, key: PrivKey) -> str:
    """Why the chain would refuse the change; empty: it would not. Raises Unasked, ClientError, ValueError."""
    known = await _validator(client, now)
    if known is None:
        return "no validator has the key that this home has now"
    operator = known.operator
    genesis = known_genesis(home)
    assert genesis is not None
    proof = prove_possession(key, genesis.chain_id, operator)
    session = Session(client, await _account(client, home, operator), chain_id=genesis.chain_id)
    answer = await session.simulate([RotateConsensusKey(operator, key.pub_key.bytes, proof)])
    return Outcome.of_trial(answer, operator).meaning if answer.code else ""


async def _account(client: Client, home: Home, operator: bytes) -> Shared:
    """The operator's, without its keys. Raises Unasked: nobody here knows them."""
    try:
        own = identity.load(home.identity)
        if own.address == operator:
            return Shared(own.wallet.policy, own.wallet.public_key, own.address)
    except IdentityError:
        pass  # a home needs none
    found = (await client.account(operator)).account
    if not found.HasField("policy"):
        raise Unasked("its operator's account is not in this home, and has signed nothing yet")
    return Shared(read_policy("policy", found.policy), address=operator)


def _discard(home: Home, files: SignerFiles, node: str | None, *, ask: bool) -> None:
    """Raises HomeError, OSError, Refusal."""
    if not files.key.exists() and not files.state.exists():
        raise HomeError(f"{files.key} is not there: there is no next key to discard")
    if ask and files.key.exists():
        key = files.load_key_file().pub_key
        try:
            told = _asked(home, node, lambda client: _validator(client, key))
        except Unasked as error:
            raise Refusal(
                f"nothing was discarded: nobody could say whether the chain was told of this key ({error}). Start the "
                "node, or name another (--node); only where you know that no transaction named it: --never-told"
            ) from None
        if told is not None:
            raise Refusal(
                f"nothing was discarded: the chain has {consensus(key.address)} as a validator's key. Without "
                "it the validator signs nothing; the node changes over to it by itself"
            )
    kept = discarded.put_away(home, files)
    if kept is None:
        echo(f"discarded the record of a next key whose file was gone: {files.state}; a key: dchat signer next-key")
        return
    echo(f"discarded the next key: it is in {kept} now, its record in {home.places.retired_states}")
    echo(
        "a `dchat tx stake rotate-key` that waits in a mempool still was not seen: if one was sent, and a block has it "
        f"later, take the key back before the second block after that: {TAKE_BACK} {kept.stem}. Another key: dchat "
        "signer next-key",
        err=True,
    )
