"""The options of a node: the one definition of names, meanings, defaults and limits.

The example file and the reference page are rendered from these models (dchat.config.pages), so what is said there
is what is loaded. Sections and keys of the operator contract keep their names; our own stand beside them.
Source: docs of the project's operator contract; CometBFT v0.38 config for the meaning of the time-outs.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from consensus.abci_socket.address import parse_address
from consensus.privval.channel import SignerAddress
from dchat.config.hsm import HsmSection
from dchat.config.networks import Networks, PeerAddresses, comma_separated
from dchat.config.operating import ApiSection, TracingSection
from dchat.config.options import Addresses, ChainId, Megabytes, Milliseconds, Port, Seconds, Section, option
from dchat.config.units import MEGABYTES_MAX, megabytes

LOG_LEVELS = "debug, info, warning, error"
_ROOM_LEVEL = re.compile(r"[a-z_][a-z0-9_.]{0,99}=(debug|info|warning|error)")
TRUST_FORM = re.compile(r"[1-9][0-9]{0,17}:[0-9A-Fa-f]{64}")
PEERS_MAX = 1_000  # one process; beyond it the file descriptors of a usual system run out
TOKENS_MAX = 4_000_000_000_000  # twice as many, in udchat, fit a signed 64-bit number


class ValidatorSection(Section):
    """Who this node is, and where its files are."""

    identity_file: str = option(
        "identity.json", "The operator's account key, from `dchat keygen`. Relative to home.", env="DCHAT_IDENTITY_FILE"
    )
    chain_id: ChainId = option(
        "", "The chain that the genesis must be of. Empty: whichever it is.", env="DCHAT_CHAIN_ID", max_length=50
    )
    data_dir: str = option(
        "data", "Where blocks, state and the record of signatures are kept. Relative to home.", env="DCHAT_DATA_DIR"
    )
    moniker: str = option("", "A name for people. Empty: the host's name.", max_length=70)
    priv_validator_laddr: str = option(
        "",
        "Where the signer of another machine connects, `dchat signer` or another of CometBFT's kind: "
        "tcp://HOST:PORT or unix://PATH (docs/signer.md). Empty: this node signs by the key in its home.",
    )
    priv_validator_pub_key: str = option(
        "", "The consensus public key that this signer has, in hex.", pattern=r"^([0-9a-fA-F]{64}|[0-9a-fA-F]{3904})?$"
    )
    priv_validator_signer_id: str = option(
        "",
        "The id of this signer's connection, over TCP: 40 hex characters. Empty: any that says it has the key.",
        pattern=r"^([0-9a-f]{40})?$",
    )

    passphrase_file: str = option(
        "",
        "Holds the passphrase of an encrypted key file (`dchat signer encrypt-key`), mode 0600. Relative to home. "
        "Empty: it is asked for at the terminal.",
    )

    @field_validator("priv_validator_laddr")
    @classmethod
    def _signer_address(cls, value: str) -> str:
        if value:
            SignerAddress.parse(value)
        return value


class NodeSection(Section):
    """Which application this node's engine runs, and with what."""

    proxy_app: str = option(
        "",
        "tcp://HOST:PORT or unix://PATH of another application than dchat's own, which answers ABCI 2.0 there "
        "(docs/abci.md). Empty: dchat's, in this process.",
    )
    native: bool = option(True, "Use the native part where it is built (docs/native.md).")

    @field_validator("proxy_app")
    @classmethod
    def _address(cls, value: str) -> str:
        if value:
            parse_address(value)
        return value


class NetworkSection(Section):
    """The validators' network (p2p) and the addresses of peers."""

    listen_address: str = option(
        "0.0.0.0:26656",
        "Where peers reach this node: host:port, tcp://host:port or /ip4/HOST/tcp/PORT.",
        env="DCHAT_LISTEN_ADDRESS",
    )
    rpc_listen_address: str = option(
        "127.0.0.1:26657", "The CometBFT-compatible JSON-RPC door: host:port, tcp://host:port. Empty: it stays closed."
    )
    max_peers: int = option(
        100,
        "Peers at most, in and out together; [p2p] max_outbound_peers of them (half at most) are for those we dial.",
        env="DCHAT_MAX_PEERS",
        ge=1,
        le=PEERS_MAX,
    )
    bootstrap_validators: PeerAddresses = option(
        [],
        "Peers to dial and to redial for ever: /ip4/HOST/tcp/PORT/p2p/ID, /dns4/..., ID@host:port or host:port.",
        env="DCHAT_BOOTSTRAP_NODES",
    )


class ConsensusSection(Section):
    """Time-outs of the rounds: milliseconds, or a string with a unit ("3s"). Each grows by its delta per round."""

    timeout_propose: Milliseconds = option(3_000, "How long a proposal is waited for.")
    timeout_propose_delta: Milliseconds = option(500, "Added to timeout_propose with each round.")
    timeout_prevote: Milliseconds = option(1_000, "The wait for more prevotes once +2/3 have voted without agreeing.")
    timeout_prevote_delta: Milliseconds = option(500, "Added to timeout_prevote with each round.")
    timeout_precommit: Milliseconds = option(1_000, "The wait for more precommits once +2/3 disagree.")
    timeout_precommit_delta: Milliseconds = option(500, "Added to timeout_precommit with each round.")
    timeout_commit: Milliseconds = option(
        200,
        "How old the last commit must be before a waiting transaction starts a block. Longer than block_time counts "
        "as block_time.",
    )
    block_time: Milliseconds = option(
        3_000, "The longest gap between blocks when nothing waits. 0: empty blocks one after the other."
    )
    gather_wait: Milliseconds = option(
        100,
        "How old the last commit must be before fewer than 500 waiting transactions start a block, while more keep "
        "coming: a few large blocks cost less than many small ones. Less is waited where fewer than 100 come in that "
        "time, up to twice as long where the machine is busy. Nothing waits for it where timeout_commit is longer, and "
        "at most a fourth of timeout_propose counts. 0: they start one at once.",
    )
    create_empty_blocks: bool = option(True, "Off: no block until a transaction waits.")
    watch_before_signing: Milliseconds = option(
        0,
        "How long after consensus began this node signs nothing, to see whether its key already signs elsewhere; "
        "then it stops. Worth 30s after a home was moved or restored. 0: it signs at once, and stops when it sees "
        "that later.",
    )
    double_sign_check_height: int = option(
        -1,
        "For how many blocks after consensus began this node signs nothing, to see whether its key already signs "
        "elsewhere; then it stops. -1: 10 after `dchat database restore` or `dchat signer import`, else none. A chain "
        "that needs this validator stands still meanwhile: 0 then.",
        ge=-1,
        le=100_000,
    )
    max_block_size: int = option(10_485_760, "Bytes of a block at most.", scope="genesis", ge=65_536, le=104_857_600)


class StakingSection(Section):
    """For a new genesis only: on a running chain the chain's own values count. 1 token is 1 DCHAT; times in seconds."""

    initial_stake: int = option(
        1_000_000,
        "Stake of this validator in a genesis that is made of these options, in tokens. On a chain that runs it costs "
        "nothing: a node makes itself a validator, once, where it is started with --stake N (or "
        "DCHAT_STAKING__INITIAL_STAKE).",
        ge=0,
        le=TOKENS_MAX,
    )
    min_self_delegation: int = option(
        100_000, "What an operator must stake itself, in tokens.", scope="genesis", ge=0, le=TOKENS_MAX
    )
    unbonding_time: Seconds = option(1_209_600, "How long stake stays slashable after leaving.", scope="genesis")


class SlashingSection(Section):
    """For a new genesis only, like [staking]. Times in seconds."""

    downtime_jail_duration: Seconds = option(600, "Jail for having been away.", scope="genesis")
    double_sign_jail_duration: Seconds = option(86_400, "Jail for having signed twice.", scope="genesis")
    missed_blocks_window: int = option(10_000, "Blocks over which presence is counted.", scope="genesis", ge=1)
    min_signed_per_window: float = option(
        0.5, "The share of the window that must be signed.", scope="genesis", ge=0, le=1
    )


class DatabaseSection(Section):
    """Where and how blocks, state and the application are stored."""

    backend: Literal["leveldb", "memory"] = option(
        "leveldb", "leveldb, or memory (gone when the process ends: for trials of one node)."
    )
    path: str = option("", "Folder of the databases. Empty: data_dir. Relative to home.")
    cache_size: Megabytes = option(
        128, "Cache of all three databases together, in MB: half of it for `app`, a quarter for each other one."
    )
    state_cache_size: Megabytes = option(
        128,
        "Records and pages of the state's trees that are remembered as the last block left them, in MB: some 130 hold "
        "all of a million accounts with the native part, of 100,000 without it.",
    )
    write_buffer_size: Megabytes = option(16, "Write buffer per database, in MB.")
    max_open_files: int = option(256, "Files kept open per database.", ge=74, le=65_536)
    pruning: Literal["default", "nothing", "everything", "custom"] = option(
        "default",
        "What goes of old history. default: all but the last 1000000 blocks and 100 states; nothing: an archive; "
        "everything: but what evidence, unbonding, restarts and served snapshots need; custom: as the next options "
        "say. See docs/pruning.md.",
    )
    blocks_kept: int = option(
        -1,
        "Blocks kept at least, with their results, events and validator sets; more where they are needed. 0: all. "
        "-1: as `pruning` says.",
        ge=-1,
    )
    versions_kept: int = option(
        -1,
        "Old versions of the state that can be asked for by height and proved, one a block; at least as many are kept, "
        "and never fewer than 2. 0: all. -1: as `pruning` says.",
        ge=-1,
    )
    pruning_interval: int = option(10, "Heights between two rounds of pruning.", ge=1, le=100_000)
    min_free: Annotated[int, BeforeValidator(megabytes)] = option(
        256,
        "Free room, in MB, below which this node stops in good order (exit code 75), before a write fails in its "
        "middle; from twice as much on it says so. A start needs as much. 0: it does not look.",
        ge=0,
        le=MEGABYTES_MAX,
    )
    trail_blocks: int = option(
        100,
        "So many of the last blocks are remembered as they were executed, in memory and within 20000 writes, to name "
        "the first transaction that another node executed differently (docs/autopsy.md). 0: none.",
        ge=0,
        le=10_000,
    )
    compaction_threads: int = option(1, "LevelDB compacts in one thread of its own.", scope="none", ge=1)

    @field_validator("backend", mode="before")
    @classmethod
    def _known_backend(cls, value: object) -> object:
        if value == "rocksdb":
            raise ValueError('"rocksdb" is not built in; write backend = "leveldb"')
        if value not in ("leveldb", "memory"):
            raise ValueError(f'"{value}" is not a backend; allowed: leveldb, memory')
        return value


class IndexSection(Section):
    """The index by which transactions and blocks are searched for what they did (docs/search.md)."""

    tx_index: Literal["kv", "null"] = option(
        "kv",
        "kv: of every block's events, beside its results. null: none; searches are refused, and what was executed "
        "meanwhile is found after `dchat database reindex`. Transactions are found by their hash either way.",
    )
    work_max: int = option(
        200_000,
        "What one search may look at: entries of the index, and events where a condition is no equality. One that "
        "needs more is refused, or continued by its cursor. 200000 are about half a second, in slices.",
        ge=1_000,
        le=100_000_000,
    )


class SqlSection(Section):
    """Blocks, transactions and events in the tables of a PostgreSQL server, for those who want SQL (docs/sql.md)."""

    connection: str = option(
        "",
        "postgresql://USER:PASSWORD@HOST/DATABASE, or with ?host=/var/run/postgresql for a socket. Empty: none. Needs "
        "pip install 'dchat-validator[sql]'.",
        is_secret=True,
    )
    schema_name: str = option(
        "dchat", "The schema with the tables; it is made where there is none.", pattern=r"^[a-z_][a-z0-9_]{0,62}$"
    )
    bodies_kept_for: Seconds = option(
        0,
        "How long what people wrote (bodies of messages, memos) stays in SQL, by the time of blocks; then the rows "
        "stay without it. 0: for ever.",
    )
    hold_blocks: int = option(
        100_000,
        "Blocks that SQL has not got yet are held from pruning, up to so many behind the tip. 0: none are.",
        ge=0,
    )

    @field_validator("connection")
    @classmethod
    def _of_postgresql(cls, value: str) -> str:
        """What is wrong, without the value: a password stands in it."""
        if not value:
            return value
        try:
            parts = urlsplit(value)
            is_one = parts.scheme in ("postgresql", "postgres") and parts.netloc.count("@") <= 1
            is_one = is_one and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one or not value.isprintable():
            raise ValueError(
                "it is no connection string; allowed: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, where / : @ # ? "
                "and % of a password are written as %2F %3A %40 %23 %3F %25"
            )
        return value


class ObservabilitySection(Section):
    """Ports that people and monitors read."""

    metrics_enabled: bool = option(True, "Serve Prometheus metrics.", env="DCHAT_ENABLE_METRICS")
    metrics_host: str = option("127.0.0.1", "Address of the metrics port.")
    metrics_port: Port = option(9_090, "Port of /metrics for Prometheus.")
    metrics_tls: bool = option(False, "Speak TLS on the metrics port, by [tls].")
    metrics_client_ca_file: str = option("", "PEM: who vouches for those who may read metrics. Empty: all.")
    health_port: Port = option(
        8_080, "Port of the HTTP door: /health /ready /status /peers /chain/... /metrics.", env="DCHAT_API_PORT"
    )
    why_heights: int = option(
        10_000,
        "So many of the last heights are remembered on the disk, about a kilobyte each, for `dchat why` (docs/why.md). "
        "0: none.",
        ge=0,
        le=1_000_000,
    )
    tracing_enabled: bool = option(False, "The same as [tracing] enabled.")
    unhealthy_after: Seconds = option(
        300,
        "Seconds that a block may be late before /ready says no; sooner, by the time-outs of rounds, where +2/3 of the "
        "voting power are not heard or three rounds decided nothing. None is late before block_time is over, or while "
        "create_empty_blocks is off and no transaction waits. /health always tells the age.",
    )


class HttpSection(Section):
    """The HTTP door, on [observability] health_port."""

    host: str = option("127.0.0.1", "Address of the HTTP door.", env="DCHAT_API_HOST")
    request_bytes_max: int = option(
        262_144, "Bytes of a request's body at most. The largest transaction has 131,072 characters of hex.", ge=1_024
    )
    concurrent_requests_max: int = option(64, "Requests served at once; more are answered 503.", ge=1)
    request_timeout: Milliseconds = option(10_000, "A request that takes longer is answered 504.")
    idle_timeout: Milliseconds = option(15_000, "A connection without a whole header for so long is closed.", ge=100)
    connections_max: int = option(
        256,
        "Connections at most; one client has at most a quarter of them, programs on this machine three quarters. "
        "Fewer where the system gives too few file handles (see the log).",
        ge=16,
    )
    metrics_connections_max: int = option(32, "The same of the metrics port.", ge=16)
    explorer: bool = option(
        True, "Serve the explorer's pages under /explorer: the chain in a browser, with proofs that it checks itself."
    )
    allowed_hosts: Addresses = option(
        [],
        "Names by which clients may call this door, besides IP addresses, localhost, this machine's name and `host`: "
        "a Host header with another is refused, so that web pages cannot read a node through a name of theirs. "
        '["*"]: any.',
    )
    client_ca_file: str = option("", "PEM: who vouches for those who may call (mutual TLS); needs [tls]. Empty: all.")


class GrpcSection(Section):
    """The main door: the services of proto/dchat/v1/service.proto, health and reflection."""

    enabled: bool = option(True, "Open it.")
    listen_address: str = option("127.0.0.1:26670", "host:port. Port 0: any free one, named in the log.")
    message_bytes_max: int = option(4_194_304, "Bytes of a request at most.", ge=65_536)
    connections_max: int = option(
        1_024,
        "Connections at most; one client has at most a quarter of them, programs on this machine three quarters. "
        "Fewer where the system gives too few file handles (see the log).",
        ge=16,
    )
    idle_timeout: Milliseconds = option(300_000, "A connection without a call for so long is closed.", ge=1_000)
    concurrent_requests_max: int = option(
        256,
        "Requests served at once; more are answered RESOURCE_EXHAUSTED. Waits for commits and streams count apart.",
        ge=1,
    )
    concurrent_waits_max: int = option(20_000, "Waits for commits, and streams, at once.", ge=1)
    concurrent_streams_max: int = option(256, "Of these streams at once.", ge=1)
    request_timeout: Milliseconds = option(30_000, "The longest wait for an answer, whatever deadline the client sets.")
    reflection: bool = option(True, "Let clients ask for the schema.")
    client_ca_file: str = option("", "PEM: who vouches for those who may call (mutual TLS); needs [tls]. Empty: all.")


class RpcSection(Section):
    """The JSON-RPC door, on [network] rpc_listen_address. What CometBFT has, too, has its name and its default, but for
    `max_header_bytes`."""

    cors_allowed_origins: Addresses = option(
        [], 'Origins whose pages may read this door, each with one * at most; ["*"]: any. None: of no other origin.'
    )
    max_body_bytes: int = option(1_000_000, "Bytes of a request's body, and of a WebSocket's frame, at most.", ge=1_024)
    max_header_bytes: int = option(
        262_144,
        "Bytes of a request's first line at most: of a URI call with its arguments. The largest transaction has "
        "131,072 characters of hex.",
        ge=8_192,
        le=1_048_576,
    )
    max_request_batch_size: int = option(10, "Requests of one batch at most. 0: any number.", ge=0)
    max_open_connections: int = option(
        900,
        "Connections at most; one client has at most a quarter of them, programs on this machine three quarters. "
        "Fewer where the system gives too few file handles (see the log).",
        ge=16,
    )
    max_subscription_clients: int = option(100, "Clients at most that subscribe or wait for a block.", ge=1)
    max_subscriptions_per_client: int = option(5, "Of each so many subscriptions at most.", ge=1)
    subscription_buffer_size: int = option(
        200, "Events that a subscription may have waiting; its reader is told when there are more, and it ends.", ge=100
    )
    timeout_broadcast_tx_commit: Milliseconds = option(
        10_000, "How long broadcast_tx_commit waits for the transaction's block."
    )
    concurrent_requests_max: int = option(64, "Requests answered at once; more are answered 503.", ge=1)
    request_timeout: Milliseconds = option(10_000, "A request that takes longer is given up.")
    idle_timeout: Milliseconds = option(10_000, "A connection without a whole header for so long is closed.", ge=100)
    allowed_hosts: Addresses = option(
        [],
        "Names by which clients may call this door where it listens on loopback, besides IP addresses, localhost and "
        "this machine's name: a Host header with another is refused, so that web pages cannot read a node through a "
        'name of theirs. ["*"]: any.',
    )
    client_ca_file: str = option("", "PEM: who vouches for those who may call (mutual TLS); needs [tls]. Empty: all.")


class TlsSection(Section):
    """Certificates for all doors (the metrics port: metrics_tls). Empty: no TLS. Renewed files need no restart."""

    cert_file: str = option("", "PEM chain. Relative to home.", env="DCHAT_TLS_CERT")
    key_file: str = option("", "PEM key. Relative to home.", env="DCHAT_TLS_KEY")


class RateLimitSection(Section):
    """Requests per client (an IPv4 address, an IPv6 /64), on the HTTP, the gRPC and the JSON-RPC door. All programs on
    this machine are one client with 25 times as many. What is costly to answer counts as several."""

    enabled: bool = option(True, "Limit.", env="DCHAT_RATE_LIMIT_ENABLED")
    requests_per_second: int = option(
        200, "Sustained; bursts of twice as many pass.", env="DCHAT_RATE_LIMIT_REQUESTS_PER_SECOND", ge=1
    )
    trusted_proxies: Networks = option(
        [],
        "Addresses or networks of your own reverse proxies before the HTTP, the gRPC and the JSON-RPC door. The client "
        "of what they pass on is the last address in X-Forwarded-For that is none of theirs, for every limit of one "
        "client; else all of a proxy's clients are one. Each proxy must add to that header whom it heard.",
    )


class P2PSection(Section):
    """The validators' network in detail."""

    external_address: str = option("", "What peers are told to dial, when it is not the listen address.")
    seeds: PeerAddresses = option([], "Peers that are asked for addresses, then left.")
    unconditional_peer_ids: Addresses = option([], "Node ids that no limit turns away.")
    private_peer_ids: Addresses = option([], "Node ids whose addresses are never passed on.")
    max_inbound_peers: int = option(
        40,
        "Peers that dialled us, at most. When all places are taken, a quiet one may have to go for a newcomer from a "
        "part of the internet that has fewer; named peers never.",
        ge=0,
        le=PEERS_MAX,
    )
    max_outbound_peers: int = option(10, "Peers that we dial beyond the bootstrap ones, at most.", ge=0, le=PEERS_MAX)
    pex: bool = option(True, "Exchange addresses with peers.")
    address_book_strict: bool = option(True, "Pass on and dial only routable addresses. Off on a test network.")
    allow_duplicate_ip: bool = option(
        False,
        "Several peers from one address (IPv6: one /64). Peers that are named in bootstrap_validators or "
        "unconditional_peer_ids may always come; of others on this machine's loopback, eight.",
    )
    send_rate: int = option(20_480_000, "Bytes a second to one peer at most.", ge=1_024)
    recv_rate: int = option(20_480_000, "Bytes a second from one peer at most.", ge=1_024)
    cpu_per_peer: int = option(
        25,
        "Percent of a core that the messages of one peer may take on the average; it is read from more slowly then. "
        "0: no limit.",
        ge=0,
        le=100,
    )
    cpu_strangers: int = option(
        40,
        "The same for all peers together that are named neither in bootstrap_validators nor in "
        "unconditional_peer_ids. 0: no limit.",
        ge=0,
        le=100,
    )
    cpu_unearned: int = option(
        2,
        "Of that, what those take who bring nothing, what they are told included: a message that was of use (a vote "
        "that counted, a part) earns its sender time, and the rest shares this. 0: no limit.",
        ge=0,
        le=100,
    )
    useless_messages: int = option(
        1_000,
        "Messages of no use that a peer may send at once; 20 a second are forgiven. Past it the peer is dropped and "
        "kept away, one minute first, four times as long each time. Named peers are dropped, never kept away.",
        ge=100,
    )
    extra_channel: bool = option(True, "Speak the channel 0x70 with our own kind: fewer duplicates.")


class SnapshotsSection(Section):
    """Snapshots of the state, from which new nodes join (docs/state-sync.md). Peers fetch them over the p2p port."""

    interval: int = option(
        1_000,
        "Heights between two snapshots; nodes that have this option alike take them at the same heights. 0: none are "
        "taken. The default is half an hour of calm blocks: who joins fetches about as many blocks as it takes to "
        "restore a state.",
        ge=0,
    )
    keep_recent: int = option(
        2, "So many of the newest are kept and served: one that is being fetched stays while the next comes.", ge=1
    )


class StateSyncSection(Section):
    """Joining a chain by a snapshot of its state, instead of executing it from the first block (docs/state-sync.md)."""

    enable: bool = option(False, "Join so, where this node has no blocks yet. The flag is --state-sync.")
    trust: str = option(
        "", "Where trust begins: HEIGHT:HASH of a header, from whom you trust. Peers are asked for the rest."
    )
    trusted_nodes: Addresses = option(
        [],
        "Your own nodes: host:port of gRPC, or http://host:port of JSON-RPC (CometBFT's, too). They say where trust "
        "begins and prove the headers.",
    )
    trust_period: Seconds = option(
        604_800, "How old the header may be with which trust begins; below the unbonding time. 0: any age."
    )
    discovery_time: Seconds = option(5, "How long peers are asked for snapshots before the best is taken.")

    @field_validator("trust")
    @classmethod
    def _of_a_header(cls, value: str) -> str:
        if value and not TRUST_FORM.fullmatch(value):
            raise ValueError(f'"{value}" is not HEIGHT:HASH, the hash in 64 hex characters')
        return value


class UpgradeSection(Section):
    """What this node does at an upgrade's height. docs/upgrades.md explains."""

    name: str = option("", "The upgrade that `binary` is for (--upgrade-name).", max_length=64)
    height: int = option(
        0, "Where the upgrade is expected (--upgrade-height). A plan of that name on the chain counts before it.", ge=0
    )
    binary: str = option(
        "", "The file that takes this process's place then (--upgrade-binary). Relative to home. Empty: none."
    )
    backup: str = option("", "Folder that gets a copy of the data first (--upgrade-backup). Relative to home.")
    announce: bool = option(
        True,
        "A validator says on chain, by itself, that it can run `name` as long as `binary` is as it must be; its "
        "operator's account pays. Off: only `dchat upgrade ready` does.",
    )
    serve_for: Seconds = option(
        60,
        "How long a node that needs another binary, or executed a block otherwise than the others, keeps its doors "
        "open, read-only, before it exits with code 6 or 70: so monitors see why. 0: not at all.",
    )
    skip_heights: Annotated[list[int], BeforeValidator(comma_separated)] = option(
        [], "Plans due at these heights are cleared (--skip-upgrade-height). All nodes must say the same."
    )
    halt_height: int = option(0, "Stop before this block (--halt-height). 0: never.", ge=0)
    halt_time: int = option(0, "Stop before the first block of this time, in unix seconds (--halt-time).", ge=0)

    @field_validator("skip_heights")
    @classmethod
    def _are_heights(cls, value: list[int]) -> list[int]:
        if any(height < 1 for height in value):
            raise ValueError("allowed: heights, 1 and more")
        return value


class MempoolSection(Section):
    """Transactions that wait for a block."""

    size: int = option(5_000, "Transactions at most.", ge=1)
    wait_max: Milliseconds = option(
        1_000,
        "The doors admit what recent blocks took in so long (1000 transactions at least, and two blocks' worth), and "
        "tell the rest to try later. 0: only the other limits count.",
    )
    bytes_max: int = option(33_554_432, "Bytes in all at most.", ge=1_024)
    tx_bytes_max: int = option(65_536, "Bytes of one transaction at most.", ge=256)
    per_sender: int = option(256, "Transactions of one sender at most.", ge=1)
    seen_max: int = option(20_000, "Ids of committed transactions remembered, so that none is checked again.", ge=1)


class LogSection(Section):
    """What the process says: one event a line, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = option("info", "The least level said.", env="DCHAT_LOG_LEVEL")
    json_lines: bool = option(False, "JSON lines instead of key=value.")
    levels: Addresses = option(
        [],
        'Of single rooms of the program and what is in them, like "consensus.p2p=debug", "dchat.doors=warning"; the '
        "smallest room that is named counts.",
    )

    @field_validator("levels")
    @classmethod
    def _of_rooms(cls, value: list[str]) -> list[str]:
        for one in value:
            if not _ROOM_LEVEL.fullmatch(one):
                raise ValueError(f"{one!r} is no level of a room; allowed: like consensus.p2p=debug, of {LOG_LEVELS}")
        return value

    @field_validator("level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return {"warn": "warning", "critical": "error", "trace": "debug"}.get(value.lower(), value.lower())


class BackupSection(Section):
    """Backups on a schedule, made beside the running node by a process of lowest priority (docs/database.md). Without
    --output, `dchat database backup` goes where this says."""

    enable: bool = option(False, "Make backups on `schedule`.")
    backend: Literal["s3", "folder"] = option("folder", "s3 (needs the package's extra `s3`) or folder.")
    folder: str = option("", "Where backend = folder writes, best on another disk. Relative to home.")
    s3_bucket: str = option(
        "",
        "Bucket. Credentials are where programs of AWS look for them (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "~/.aws), never here.",
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
    )
    s3_region: str = option("", "Region. Empty: AWS_DEFAULT_REGION, or ~/.aws/config.", pattern="^[a-z0-9-]{0,40}$")
    s3_endpoint: str = option(
        "",
        "URL of a store that speaks S3's protocol and is not AWS.",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[\w./-]*)?)?$",
    )
    s3_prefix: str = option("", "What names in the bucket begin with, like `dchat/`.", pattern=r"^([\w./-]{0,200}/)?$")
    compression: bool = option(True, "Compress with zlib.")
    encryption: bool = option(False, "Encrypt, for the key in encryption_key_file.")
    encryption_key_file: str = option(
        "",
        "A file of `dchat database backup-key`. A file with its line `age1...` alone is enough here; the secret is "
        "needed to restore. Relative to home.",
    )
    schedule: str = option(
        "0 3 * * *", "Five cron fields, UTC. A time that was missed while the node was down is made up at its start."
    )
    retention_days: int = option(
        30, "Older backups of this node are removed, each time that a new one is in its place. 0: none is.", ge=0
    )
    keep_at_least: int = option(3, "So many of the newest stay, however old.", ge=1)

    @field_validator("encryption", mode="before")
    @classmethod
    def _named_cipher(cls, value: object) -> object:
        """Old files name a cipher here; there is one, so a name means yes."""
        return True if isinstance(value, str) and value.lower().startswith("aes") else value


class Config(BaseModel):
    """All sections. Attribute names are the file's table names."""

    model_config = ConfigDict(extra="forbid")

    validator: ValidatorSection = Field(default_factory=ValidatorSection)
    hsm: HsmSection = Field(default_factory=HsmSection)
    node: NodeSection = Field(default_factory=NodeSection)
    network: NetworkSection = Field(default_factory=NetworkSection)
    consensus: ConsensusSection = Field(default_factory=ConsensusSection)
    staking: StakingSection = Field(default_factory=StakingSection)
    slashing: SlashingSection = Field(default_factory=SlashingSection)
    database: DatabaseSection = Field(default_factory=DatabaseSection)
    index: IndexSection = Field(default_factory=IndexSection)
    sql: SqlSection = Field(default_factory=SqlSection)
    observability: ObservabilitySection = Field(default_factory=ObservabilitySection)
    http: HttpSection = Field(default_factory=HttpSection)
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    rpc: RpcSection = Field(default_factory=RpcSection)
    tls: TlsSection = Field(default_factory=TlsSection)
    api: ApiSection = Field(default_factory=ApiSection)
    rate_limit: RateLimitSection = Field(default_factory=RateLimitSection)
    p2p: P2PSection = Field(default_factory=P2PSection)
    mempool: MempoolSection = Field(default_factory=MempoolSection)
    snapshots: SnapshotsSection = Field(default_factory=SnapshotsSection)
    state_sync: StateSyncSection = Field(default_factory=StateSyncSection)
    upgrade: UpgradeSection = Field(default_factory=UpgradeSection)
    log: LogSection = Field(default_factory=LogSection)
    tracing: TracingSection = Field(default_factory=TracingSection)
    backup: BackupSection = Field(default_factory=BackupSection)
