"""A node's home: which files there are, and how the missing ones are made.

    validator-config.toml  identity.json
    config/  genesis.json  node_key.json  priv_validator_key.json  addrbook.json
    data/    priv_validator_state.json  cs.wal/  blocks/  state/  app/  snapshots/  trail/  why/
    run/     admin.sock  takeover.sock

Keys and records of signatures are mode 0600 and never overwritten. A sign state is made only together with its key:
a key whose record is missing may have signed, and an empty record would let it sign twice (failure 8, failure 9).
Source: docs/operating.md, Files; CometBFT v0.38 for the files in config/ and data/.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus.documents.files import (
    SignState,
    format_sign_state,
    format_validator_key,
)
from consensus.documents.genesis import GenesisDoc
from consensus.formats.errors import InvalidFile, InvalidGenesis
from consensus.node.home import NodeFiles
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.channel import SignerAddress
from consensus.privval.record import read_record
from consensus.privval.remote import RemoteKey
from consensus.privval.succession import Places
from consensus.system.disk import OsDisk
from consensus.system.files import write_new, write_new_secret
from crypto.errors import InvalidKey
from crypto.keys import ED25519, SECRET_BYTES, PrivKey, PubKey, key_type, pub_key_of
from dchat.config import CONFIG_FILE, Config
from dchat.home.errors import HomeError
from dchat.home.key_file import KeyFile
from genesis.kept import keep, load_kept

DEFAULT_HOME = "~/.dchat"
SOCKETS = "run"  # the folder of Unix sockets
RETIRED = "retired"  # folders of keys and of records that are not used any more
# A round of a height may have been signed that nobody here heard of: all rounds of the one that runs are given up.
BY_HAND: Final = (
    "Where it is lost for good, and nothing else can sign by this key, write it by hand, mode 0600: "
    '{"height":"H","round":2147483647,"step":3}, H one above the newest block of the chain; only of a key '
    'that has never signed: {"height":"0","round":0,"step":0}'
)
REHEARSAL_PREFIX = "rehearsal-"  # of folders beside the databases that hold a copy for a while; no part of the home


@dataclass(frozen=True)
class Home(NodeFiles):
    """Paths of one node. `data` and the databases may lie elsewhere (data_dir, [database] path)."""

    databases: Path
    identity: Path
    passphrase: Path | None = None  # the file that holds the key file's

    @staticmethod
    def of(root: Path, config: Config | None = None) -> Home:
        options = config or Config()
        data = root / Path(options.validator.data_dir).expanduser()
        databases = root / Path(options.database.path).expanduser() if options.database.path else data
        said = options.validator.passphrase_file
        passphrase = root / Path(said).expanduser() if said else None
        return Home(root, data, databases, root / Path(options.validator.identity_file).expanduser(), passphrase)

    @property
    def places(self) -> Places:
        """Where a change of the consensus key moves files."""
        return Places(
            key=self.validator_key, state=self.sign_state, next_key=self.next_validator_key,
            next_state=self.next_sign_state, retired_keys=self.next_validator_key.parent / RETIRED,
            retired_states=self.data / RETIRED,
        )  # fmt: skip

    @property
    def config_file(self) -> Path:
        return self.root / CONFIG_FILE

    @property
    def address_book(self) -> Path:
        return self.root / "config" / "addrbook.json"

    @property
    def journal(self) -> Path:
        return self.data / "mempool.journal"

    @property
    def snapshots(self) -> Path:
        return self.data / "snapshots"

    @property
    def state_sync(self) -> Path:
        """Chunks of the snapshot that this node is being restored from; while it is there that has not ended."""
        return self.data / "state_sync"

    @property
    def trails(self) -> Path:
        """What a node that ended by a failure remembered of its last blocks (docs/autopsy.md)."""
        return self.data / "trail"

    @property
    def why(self) -> Path:
        """What is remembered of each height (docs/why.md)."""
        return self.data / "why"

    @property
    def dump(self) -> Path:
        """Where the process that runs says what its threads and tasks do, when asked (docs/operators/debug.md)."""
        return self.data / "dump"

    @property
    def moved_mark(self) -> Path:
        """There from a restore, or an import of a sign state, until the node has watched for its key's second user."""
        return self.data / "moved"

    @property
    def genesis_note(self) -> Path:
        """What a start need not read again of a large genesis."""
        return self.data / "genesis.note"

    @property
    def takeover(self) -> Path:
        """Where a process asks the one that runs here to hand over."""
        return self.root / SOCKETS / "takeover.sock"

    @property
    def admin_socket(self) -> Path:
        """Where whoever owns the home administers the node that runs on it."""
        return self.root / SOCKETS / "admin.sock"

    @property
    def pid_file(self) -> Path:
        return self.data / "validator.pid"


def default_root() -> Path:
    """DCHAT_HOME, else DAEMON_HOME, else ~/.dchat. Cosmovisor asks its binaries without --home, but sets the second."""
    return Path(os.environ.get("DCHAT_HOME") or os.environ.get("DAEMON_HOME") or DEFAULT_HOME).expanduser()


def make_keys(home: Home, *, signs_here: bool = True, kind: str = ED25519) -> list[Path]:
    """Make what is missing of node key, validator key and its sign state; returns what was made.

    signs_here: else a signer elsewhere has the validator key (docs/signer.md), and there is none to make. kind: of a
    validator key that is made, its type.

    Raises HomeError when there is a validator key without its record, or when this machine makes no such key.
    """
    made = []
    home.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.node_key.parent.mkdir(parents=True, exist_ok=True)
    if not home.node_key.exists():
        NodeKey.generate().save(home.node_key)
        made.append(home.node_key)
    if not signs_here:
        return made
    if home.validator_key.exists():
        check_sign_state(home)
        return made
    if home.sign_state.exists() and not _is_empty_record(home.sign_state):
        raise HomeError(
            f"{home.validator_key} is missing, but {home.sign_state} is there: restore the key that it belongs to, "
            "or move the record away together with the rest of the old node"
        )
    key = new_key(kind)
    if not home.sign_state.exists():  # the record first: a stop in between leaves no key without it
        write_new_secret(home.sign_state, format_sign_state(SignState()) + "\n")
    write_new_secret(home.validator_key, format_validator_key(key) + "\n")
    return [*made, home.sign_state, home.validator_key]


def new_key(kind: str) -> PrivKey:
    """A consensus key of that type. Raises HomeError."""
    try:
        return key_type(kind).from_secret(secrets.token_bytes(SECRET_BYTES))
    except InvalidKey as error:
        raise HomeError(f"no consensus key can be made: {error}") from None


def key_in_hex(text: str) -> PubKey:
    """[validator] priv_validator_pub_key. Raises HomeError."""
    try:
        return pub_key_of(bytes.fromhex(text))
    except ValueError as error:
        raise HomeError(f"[validator] priv_validator_pub_key: {error}") from None


def _is_empty_record(path: Path) -> bool:
    """Nothing was signed under it."""
    try:
        return read_record(OsDisk(), path) == SignState()
    except InvalidFile as error:
        raise HomeError(f"{path}: {error}") from None


def check_sign_state(home: Home) -> None:
    """Raises HomeError when the key's record is missing: what it signed is then unknown."""
    if not home.sign_state.exists():
        raise HomeError(
            f"{home.sign_state} is missing, but {home.validator_key} is there: with an empty record this key could "
            "sign twice. Bring the record from where the key last signed: stop that node, `dchat signer export` there "
            f"and `dchat signer import` here, or copy the file. {BY_HAND}"
        )


def load_key_file(home: Home) -> KeyFile:
    """Of the consensus key, whichever form it has. Raises HomeError."""
    return KeyFile.read(home.validator_key)


def load_validator_key(home: Home) -> PrivKey:
    """The key itself, from a file that may be encrypted. Raises HomeError, also where it is held elsewhere."""
    return load_key_file(home).unlock(home.passphrase)


def load_public_key(home: Home) -> PubKey:
    """No secret is asked for. Raises HomeError."""
    return load_key_file(home).pub_key


def remote_key(home: Home, config: Config, node_key: NodeKey) -> RemoteKey | None:
    """Where the signer elsewhere connects; None: this node signs by the key in its home. Raises HomeError."""
    options = config.validator
    if not options.priv_validator_laddr:
        return None
    if not options.priv_validator_pub_key:
        raise HomeError(
            "[validator] priv_validator_pub_key is missing: with priv_validator_laddr, only the signer of this key is "
            "let in; `dchat signer show` tells it"
        )
    if home.validator_key.exists():
        raise HomeError(
            f"{home.validator_key} is here, and [validator] priv_validator_laddr says that a signer elsewhere has the "
            "key: move the file there, together with its sign state (docs/signer.md)"
        )
    pub_key = key_in_hex(options.priv_validator_pub_key)
    address = SignerAddress.parse(options.priv_validator_laddr)
    return RemoteKey(pub_key, address, node_key, options.priv_validator_signer_id)


def load_genesis(home: Home, *, note: bool = False) -> GenesisDoc:
    """A large one that a node began with is not read through again. note: by a node, which holds the home: the next
    start knows it. Raises HomeError."""
    load = keep if note else load_kept
    try:
        return load(home.genesis, home.genesis_note, default_time_ns=time.time_ns())
    except FileNotFoundError:
        raise HomeError(f"{home.genesis} is missing: copy the chain's genesis there, or run `dchat init`") from None
    except OSError as error:
        raise HomeError(f"{home.genesis}: cannot be read: {error.strerror}") from None
    except InvalidGenesis as error:
        raise HomeError(f"{home.genesis}: {error}") from None


def known_genesis(home: Home) -> GenesisDoc | None:
    """None: this home has none, as that of a signer. Raises HomeError: it cannot be read."""
    return load_genesis(home) if home.genesis.exists() else None


def check_key_type(home: Home, kind: str) -> None:
    """That the home's chain takes keys of this type. Raises HomeError."""
    genesis = known_genesis(home)
    allowed = genesis.consensus_params.validator.pub_key_types if genesis is not None else (kind,)
    if kind not in allowed:
        raise HomeError(
            f"--key-type {kind}: the chain of {home.genesis} takes no such key; allowed, by its "
            f"validator.pub_key_types: {', '.join(allowed)}"
        )


def write_genesis(home: Home, text: str) -> None:
    """Raises HomeError when there is one."""
    try:
        write_new(home.genesis, text if text.endswith("\n") else text + "\n")
    except FileExistsError:
        raise HomeError(f"{home.genesis} exists; a genesis is never overwritten") from None
