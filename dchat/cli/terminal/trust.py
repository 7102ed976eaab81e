"""Where a command's trust in a node begins: with a header's hash, with a genesis, or, said aloud, with the node itself.

What each of them proves, and what is left to the node's word: docs/clients.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.tx.envelope.build import Shared, Wallet
from consensus.documents.genesis import GENESIS_BYTES_MAX, parse_genesis
from consensus.formats.errors import InvalidGenesis
from dchat.cli.terminal.ask import account_from, run
from dchat.cli.terminal.base import Exit, InputFile, Refusal, common_option, current_home, read_input
from dchat.client.client import Client
from dchat.client.proved import Proved
from dchat.client.verify import Trust, Verifier
from dchat.client.wallet import FEE_MAX, ChainFacts, Session
from dchat.home.errors import HomeError
from dchat.home.home import load_genesis


def trust_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--trust and --genesis."""
    options = (
        common_option("--trust", metavar="HEIGHT:HASH", help="The header that trust begins with."),
        common_option(
            "--genesis",
            "genesis_file",
            type=InputFile(),
            help="Begin with this genesis. Default: the home's.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def root_of_trust(trust: str | None, genesis_file: Path | None, *, otherwise: str = "") -> Trust:
    """otherwise: what else the person could do where there is none. Raises Refusal."""
    try:
        if trust is not None:
            return Trust.parse(trust)
        if genesis_file is not None:
            return Trust.of_genesis(parse_genesis(read_input(genesis_file, GENESIS_BYTES_MAX)))
        return Trust.of_genesis(load_genesis(current_home()[0]))
    except HomeError as error:
        raise Refusal(
            f"nothing to begin trust with: give --trust HEIGHT:HASH or --genesis FILE{otherwise} ({error})", Exit.USAGE
        ) from None
    except (InvalidGenesis, ValueError) as error:
        raise Refusal(str(error), Exit.USAGE) from None


@dataclass(frozen=True)
class Signing:
    """For which chain a command signs, and what the node is checked by. trust None: it is believed. chain_id empty:
    that of the header which trust begins with."""

    trust: Trust | None
    chain_id: str

    @staticmethod
    def of(options: Mapping[str, Any]) -> Signing:
        """What the options of a command that signs say. Raises Refusal."""
        said, believed = options["chain_id"], options["believe_node"]
        if believed and (options["trust"] is not None or options["genesis_file"] is not None):
            raise Refusal("--believe-node, and something to check it by: one of them", Exit.USAGE)
        if believed and said:
            return Signing(None, said)
        otherwise = "; of a node of your own: --believe-node with --chain-id"
        root = root_of_trust(options["trust"], options["genesis_file"], otherwise=otherwise)
        known = root.genesis.chain_id if root.genesis is not None else ""
        if said and known and said != known:
            raise Refusal(f"--chain-id is {said!r}, the genesis is of {known!r}: leave one of them out", Exit.USAGE)
        return Signing(None if believed else root, said or known)

    def session(self, client: Client, wallet: Wallet | Shared, *, fee_max: int = FEE_MAX) -> Session:
        if self.trust is None:
            return Session(client, wallet, chain_id=self.chain_id, fee_max=fee_max)
        verifier = Verifier(client, self.trust, chain_id=self.chain_id)
        return Session(client, wallet, proved=Proved(verifier), fee_max=fee_max)


def signing_facts(options: Mapping[str, Any]) -> ChainFacts:
    """The chain's id and height, for what is signed beside the transaction. Raises Refusal."""
    wallet, signing = account_from(options["sender"]).wallet, Signing.of(options)
    return run(lambda client: signing.session(client, wallet).facts(), options["node"])
