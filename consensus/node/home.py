"""The folder of a node of one's own chain: CometBFT's layout and files, and how a network of new ones is made.

    config/  genesis.json  node_key.json  priv_validator_key.json  settings.json
    data/    priv_validator_state.json  cs.wal/  blocks/  state/  app/

settings.json is ours: addresses and peers, as `Settings`. Keys are mode 0600 and never overwritten; the record of what
a key signed is made before the key.
Source: CometBFT v0.38 for genesis, keys and record.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from consensus.documents.files import format_validator_key, parse_validator_key
from consensus.documents.genesis import GenesisDoc, GenesisValidator, parse_genesis
from consensus.formats.errors import InvalidFile, InvalidGenesis
from consensus.node.errors import UnusableHome
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.signer import FileSigner
from consensus.system.disk import OsDisk
from consensus.system.files import write_new_secret
from crypto.keys import Ed25519PrivKey, PrivKey

POWER: Final = 10  # of each validator of a new network
PORTS_EACH: Final = 2  # p2p, door
HOST: Final = "127.0.0.1"
SETTINGS_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one node. p2p, door: HOST:PORT to listen at. peers: ID@HOST:PORT of those that it dials."""

    p2p: str = "127.0.0.1:26656"
    door: str = "127.0.0.1:26657"
    peers: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str | bytes) -> Settings:
        """Raises ValueError."""
        if len(text) > SETTINGS_BYTES_MAX:
            raise ValueError(f"{len(text)} bytes; allowed: {SETTINGS_BYTES_MAX}")
        told = json.loads(text)
        known = asdict(Settings())
        if not isinstance(told, dict) or not told.keys() <= known.keys():
            raise ValueError(f"expected an object with no other keys than {', '.join(known)}")
        values = known | told
        peers = values["peers"]
        if not isinstance(peers, list | tuple) or not all(isinstance(text, str) for text in (*peers, values["p2p"])):
            raise ValueError("p2p and door are texts, peers a list of texts")
        return Settings(p2p=values["p2p"], door=str(values["door"]), peers=tuple(peers))


@dataclass(frozen=True)
class NodeFiles:
    """Where a node's files lie: CometBFT's names. data: may lie elsewhere than in the home."""

    root: Path
    data: Path

    @property
    def genesis(self) -> Path:
        return self.root / "config" / "genesis.json"

    @property
    def next_validator_key(self) -> Path:
        """What is to sign when the chain has it in this validator's place; with a record of its own."""
        return self.root / "config" / "priv_validator_next_key.json"

    @property
    def next_sign_state(self) -> Path:
        return self.data / "priv_validator_next_state.json"

    @property
    def node_key(self) -> Path:
        return self.root / "config" / "node_key.json"

    @property
    def validator_key(self) -> Path:
        return self.root / "config" / "priv_validator_key.json"

    @property
    def wal(self) -> Path:
        return self.data / "cs.wal"

    @property
    def sign_state(self) -> Path:
        return self.data / "priv_validator_state.json"


class NodeHome(NodeFiles):
    """Of one node of one's own chain, and what lies there."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, root / "data")

    @property
    def settings(self) -> Path:
        return self.root / "config" / "settings.json"

    def load(self) -> tuple[GenesisDoc, NodeKey, PrivKey, Settings]:
        """Raises UnusableHome."""
        path = self.genesis
        try:
            genesis = parse_genesis(path.read_bytes())
            path = self.node_key
            node_key = NodeKey.load(path)
            path = self.validator_key
            key = parse_validator_key(path.read_bytes())
            path = self.settings
            settings = Settings.parse(path.read_bytes()) if path.exists() else Settings()
        except OSError as error:
            raise UnusableHome(f"{path}: cannot be read: {error.strerror}") from None
        except (InvalidGenesis, InvalidFile, ValueError, RecursionError) as error:
            raise UnusableHome(f"{path}: {error}") from None
        if not self.sign_state.exists():
            raise UnusableHome(
                f"{self.sign_state} is missing, but {self.validator_key} is there: with an empty record this key could "
                "sign twice. Restore the file from where the key last signed"
            )
        return genesis, node_key, key, settings


def make_network(
    roots: Sequence[Path], *, chain_id: str, app_state: bytes = b"", host: str = HOST, base_port: int = 26656
) -> list[NodeHome]:
    """A chain that begins now, with a validator of equal power in each of `roots`: node i listens at base_port + 2i for
    peers and the port after that for clients. app_state: JSON for the application. Raises InvalidGenesis, OSError
    (FileExistsError: there is a node already)."""
    homes = [NodeHome(root) for root in roots]
    for home in homes:
        for folder in (home.genesis.parent, home.data):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        FileSigner.create_state(OsDisk(), home.sign_state)
        write_new_secret(home.validator_key, format_validator_key(_new_key()) + "\n")
        NodeKey.generate().save(home.node_key)
    keys = [parse_validator_key(home.validator_key.read_bytes()).pub_key for home in homes]
    genesis = GenesisDoc(
        chain_id=chain_id,
        genesis_time_ns=time.time_ns(),
        validators=tuple(GenesisValidator(key, POWER, root.name) for key, root in zip(keys, roots, strict=True)),
        app_state=app_state,
    )
    genesis.validate()
    ports = [base_port + PORTS_EACH * number for number in range(len(homes))]
    addresses = [f"{NodeKey.load(home.node_key).id}@{host}:{port}" for home, port in zip(homes, ports, strict=True)]
    for home, port, own in zip(homes, ports, addresses, strict=True):
        peers = tuple(address for address in addresses if address != own)
        settings = Settings(p2p=f"{host}:{port}", door=f"{host}:{port + 1}", peers=peers)
        home.settings.write_text(json.dumps(asdict(settings), indent=2) + "\n")
        home.genesis.write_text(genesis.dumps() + "\n")  # the last: a home without it is made again
    return homes


def _new_key() -> Ed25519PrivKey:
    return Ed25519PrivKey.from_seed(secrets.token_bytes(32))
