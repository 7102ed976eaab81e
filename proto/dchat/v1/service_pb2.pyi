from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import state_pb2 as _state_pb2
from proto.tendermint.abci import types_pb2 as _types_pb2
from proto.tendermint.crypto import proof_pb2 as _proof_pb2
from proto.tendermint.types import block_pb2 as _block_pb2
from proto.tendermint.types import types_pb2 as _types_pb2_1
from proto.tendermint.types import validator_pb2 as _validator_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Wait(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_ADMISSION: _ClassVar[Wait]
    WAIT_COMMIT: _ClassVar[Wait]
WAIT_ADMISSION: Wait
WAIT_COMMIT: Wait

class BroadcastRequest(_message.Message):
    __slots__ = ("tx", "wait", "durable")
    TX_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    tx: bytes
    wait: Wait
    durable: bool
    def __init__(self, tx: _Optional[bytes] = ..., wait: _Optional[_Union[Wait, str]] = ..., durable: _Optional[bool] = ...) -> None: ...

class BroadcastResponse(_message.Message):
    __slots__ = ("hash", "code", "codespace", "log", "height", "index", "data", "gas_used", "events")
    HASH_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODESPACE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    code: int
    codespace: str
    log: str
    height: int
    index: int
    data: bytes
    gas_used: int
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, hash: _Optional[bytes] = ..., code: _Optional[int] = ..., codespace: _Optional[str] = ..., log: _Optional[str] = ..., height: _Optional[int] = ..., index: _Optional[int] = ..., data: _Optional[bytes] = ..., gas_used: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class SimulateRequest(_message.Message):
    __slots__ = ("tx",)
    TX_FIELD_NUMBER: _ClassVar[int]
    tx: bytes
    def __init__(self, tx: _Optional[bytes] = ...) -> None: ...

class SimulateResponse(_message.Message):
    __slots__ = ("height", "code", "codespace", "log", "gas_limit", "fee", "gas_used", "data", "events")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODESPACE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    GAS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    height: int
    code: int
    codespace: str
    log: str
    gas_limit: int
    fee: int
    gas_used: int
    data: bytes
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, height: _Optional[int] = ..., code: _Optional[int] = ..., codespace: _Optional[str] = ..., log: _Optional[str] = ..., gas_limit: _Optional[int] = ..., fee: _Optional[int] = ..., gas_used: _Optional[int] = ..., data: _Optional[bytes] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class BroadcastManyRequest(_message.Message):
    __slots__ = ("txs",)
    TXS_FIELD_NUMBER: _ClassVar[int]
    txs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, txs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class BroadcastManyResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BroadcastResponse]
    def __init__(self, results: _Optional[_Iterable[_Union[BroadcastResponse, _Mapping]]] = ...) -> None: ...

class ListPendingRequest(_message.Message):
    __slots__ = ("address", "hash")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    hash: bytes
    def __init__(self, address: _Optional[bytes] = ..., hash: _Optional[bytes] = ...) -> None: ...

class ListPendingResponse(_message.Message):
    __slots__ = ("height", "txs", "has_more")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TXS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    height: int
    txs: _containers.RepeatedCompositeFieldContainer[PendingTx]
    has_more: bool
    def __init__(self, height: _Optional[int] = ..., txs: _Optional[_Iterable[_Union[PendingTx, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class PendingTx(_message.Message):
    __slots__ = ("hash", "tx", "lane", "since_height", "expiry_height", "priority", "dearer", "held", "why")
    HASH_FIELD_NUMBER: _ClassVar[int]
    TX_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    SINCE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEARER_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    tx: bytes
    lane: str
    since_height: int
    expiry_height: int
    priority: int
    dearer: int
    held: bool
    why: str
    def __init__(self, hash: _Optional[bytes] = ..., tx: _Optional[bytes] = ..., lane: _Optional[str] = ..., since_height: _Optional[int] = ..., expiry_height: _Optional[int] = ..., priority: _Optional[int] = ..., dearer: _Optional[int] = ..., held: _Optional[bool] = ..., why: _Optional[str] = ...) -> None: ...

class GetTxRequest(_message.Message):
    __slots__ = ("hash", "prove")
    HASH_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    prove: bool
    def __init__(self, hash: _Optional[bytes] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetTxResponse(_message.Message):
    __slots__ = ("hash", "height", "index", "tx", "code", "codespace", "log", "data", "gas_wanted", "gas_used", "proof", "light_block", "result_proof", "result_light_block", "events")
    HASH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TX_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODESPACE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    GAS_WANTED_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    LIGHT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    RESULT_PROOF_FIELD_NUMBER: _ClassVar[int]
    RESULT_LIGHT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    height: int
    index: int
    tx: bytes
    code: int
    codespace: str
    log: str
    data: bytes
    gas_wanted: int
    gas_used: int
    proof: _types_pb2_1.TxProof
    light_block: _types_pb2_1.LightBlock
    result_proof: _proof_pb2.Proof
    result_light_block: _types_pb2_1.LightBlock
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, hash: _Optional[bytes] = ..., height: _Optional[int] = ..., index: _Optional[int] = ..., tx: _Optional[bytes] = ..., code: _Optional[int] = ..., codespace: _Optional[str] = ..., log: _Optional[str] = ..., data: _Optional[bytes] = ..., gas_wanted: _Optional[int] = ..., gas_used: _Optional[int] = ..., proof: _Optional[_Union[_types_pb2_1.TxProof, _Mapping]] = ..., light_block: _Optional[_Union[_types_pb2_1.LightBlock, _Mapping]] = ..., result_proof: _Optional[_Union[_proof_pb2.Proof, _Mapping]] = ..., result_light_block: _Optional[_Union[_types_pb2_1.LightBlock, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class SearchTxsRequest(_message.Message):
    __slots__ = ("query", "after", "oldest_first", "limit")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    query: str
    after: str
    oldest_first: bool
    limit: int
    def __init__(self, query: _Optional[str] = ..., after: _Optional[str] = ..., oldest_first: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class SearchTxsResponse(_message.Message):
    __slots__ = ("txs", "cursor", "from_height", "to_height")
    TXS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TO_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    txs: _containers.RepeatedCompositeFieldContainer[GetTxResponse]
    cursor: str
    from_height: int
    to_height: int
    def __init__(self, txs: _Optional[_Iterable[_Union[GetTxResponse, _Mapping]]] = ..., cursor: _Optional[str] = ..., from_height: _Optional[int] = ..., to_height: _Optional[int] = ...) -> None: ...

class SearchBlocksRequest(_message.Message):
    __slots__ = ("query", "after", "oldest_first", "limit")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    query: str
    after: str
    oldest_first: bool
    limit: int
    def __init__(self, query: _Optional[str] = ..., after: _Optional[str] = ..., oldest_first: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class SearchBlocksResponse(_message.Message):
    __slots__ = ("blocks", "cursor", "from_height", "to_height")
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TO_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[_types_pb2_1.BlockMeta]
    cursor: str
    from_height: int
    to_height: int
    def __init__(self, blocks: _Optional[_Iterable[_Union[_types_pb2_1.BlockMeta, _Mapping]]] = ..., cursor: _Optional[str] = ..., from_height: _Optional[int] = ..., to_height: _Optional[int] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StorageStatus(_message.Message):
    __slots__ = ("pruning", "earliest_block_height", "earliest_state_height", "kept_for", "databases", "free_bytes", "bytes_per_block", "full_in_seconds", "backups")
    PRUNING_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_STATE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    DATABASES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_BLOCK_FIELD_NUMBER: _ClassVar[int]
    FULL_IN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BACKUPS_FIELD_NUMBER: _ClassVar[int]
    pruning: str
    earliest_block_height: int
    earliest_state_height: int
    kept_for: str
    databases: _containers.RepeatedCompositeFieldContainer[DatabaseUse]
    free_bytes: int
    bytes_per_block: int
    full_in_seconds: int
    backups: BackupStatus
    def __init__(self, pruning: _Optional[str] = ..., earliest_block_height: _Optional[int] = ..., earliest_state_height: _Optional[int] = ..., kept_for: _Optional[str] = ..., databases: _Optional[_Iterable[_Union[DatabaseUse, _Mapping]]] = ..., free_bytes: _Optional[int] = ..., bytes_per_block: _Optional[int] = ..., full_in_seconds: _Optional[int] = ..., backups: _Optional[_Union[BackupStatus, _Mapping]] = ...) -> None: ...

class BackupStatus(_message.Message):
    __slots__ = ("last_height", "last_time_ns", "last_bytes", "next_time_ns", "made", "failed", "is_failing")
    LAST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_BYTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    IS_FAILING_FIELD_NUMBER: _ClassVar[int]
    last_height: int
    last_time_ns: int
    last_bytes: int
    next_time_ns: int
    made: int
    failed: int
    is_failing: bool
    def __init__(self, last_height: _Optional[int] = ..., last_time_ns: _Optional[int] = ..., last_bytes: _Optional[int] = ..., next_time_ns: _Optional[int] = ..., made: _Optional[int] = ..., failed: _Optional[int] = ..., is_failing: _Optional[bool] = ...) -> None: ...

class DatabaseUse(_message.Message):
    __slots__ = ("name", "bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    bytes: int
    def __init__(self, name: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class StateSyncStatus(_message.Message):
    __slots__ = ("phase", "snapshot_height", "chunks", "chunks_applied", "bytes_fetched", "bytes_per_second", "peers", "waits_for")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_APPLIED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    phase: str
    snapshot_height: int
    chunks: int
    chunks_applied: int
    bytes_fetched: int
    bytes_per_second: int
    peers: int
    waits_for: str
    def __init__(self, phase: _Optional[str] = ..., snapshot_height: _Optional[int] = ..., chunks: _Optional[int] = ..., chunks_applied: _Optional[int] = ..., bytes_fetched: _Optional[int] = ..., bytes_per_second: _Optional[int] = ..., peers: _Optional[int] = ..., waits_for: _Optional[str] = ...) -> None: ...

class BackfillStatus(_message.Message):
    __slots__ = ("lowest_height", "wanted_height", "headers", "waits_for")
    LOWEST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WANTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    lowest_height: int
    wanted_height: int
    headers: int
    waits_for: str
    def __init__(self, lowest_height: _Optional[int] = ..., wanted_height: _Optional[int] = ..., headers: _Optional[int] = ..., waits_for: _Optional[str] = ...) -> None: ...

class SqlStatus(_message.Message):
    __slots__ = ("state", "height", "lag")
    STATE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    state: str
    height: int
    lag: int
    def __init__(self, state: _Optional[str] = ..., height: _Optional[int] = ..., lag: _Optional[int] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "chain_id", "moniker", "node_id", "validator_address", "voting_power", "latest_block_height", "latest_block_hash", "latest_block_time_ns", "latest_app_hash", "chat_root", "currency_root", "bridge_root", "catching_up", "peer_count", "mempool_size", "uptime_seconds", "earliest_block_height", "consensus_step", "consensus_round", "consensus_height", "block_sync", "storage", "state_sync", "backfill", "sql")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    MONIKER_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VOTING_POWER_FIELD_NUMBER: _ClassVar[int]
    LATEST_BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LATEST_BLOCK_HASH_FIELD_NUMBER: _ClassVar[int]
    LATEST_BLOCK_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    LATEST_APP_HASH_FIELD_NUMBER: _ClassVar[int]
    CHAT_ROOT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_ROOT_FIELD_NUMBER: _ClassVar[int]
    BRIDGE_ROOT_FIELD_NUMBER: _ClassVar[int]
    CATCHING_UP_FIELD_NUMBER: _ClassVar[int]
    PEER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMPOOL_SIZE_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_BLOCK_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_STEP_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_ROUND_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SYNC_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_SYNC_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    SQL_FIELD_NUMBER: _ClassVar[int]
    version: str
    chain_id: str
    moniker: str
    node_id: str
    validator_address: bytes
    voting_power: int
    latest_block_height: int
    latest_block_hash: bytes
    latest_block_time_ns: int
    latest_app_hash: bytes
    chat_root: bytes
    currency_root: bytes
    bridge_root: bytes
    catching_up: bool
    peer_count: int
    mempool_size: int
    uptime_seconds: int
    earliest_block_height: int
    consensus_step: str
    consensus_round: int
    consensus_height: int
    block_sync: BlockSyncStatus
    storage: StorageStatus
    state_sync: StateSyncStatus
    backfill: BackfillStatus
    sql: SqlStatus
    def __init__(self, version: _Optional[str] = ..., chain_id: _Optional[str] = ..., moniker: _Optional[str] = ..., node_id: _Optional[str] = ..., validator_address: _Optional[bytes] = ..., voting_power: _Optional[int] = ..., latest_block_height: _Optional[int] = ..., latest_block_hash: _Optional[bytes] = ..., latest_block_time_ns: _Optional[int] = ..., latest_app_hash: _Optional[bytes] = ..., chat_root: _Optional[bytes] = ..., currency_root: _Optional[bytes] = ..., bridge_root: _Optional[bytes] = ..., catching_up: _Optional[bool] = ..., peer_count: _Optional[int] = ..., mempool_size: _Optional[int] = ..., uptime_seconds: _Optional[int] = ..., earliest_block_height: _Optional[int] = ..., consensus_step: _Optional[str] = ..., consensus_round: _Optional[int] = ..., consensus_height: _Optional[int] = ..., block_sync: _Optional[_Union[BlockSyncStatus, _Mapping]] = ..., storage: _Optional[_Union[StorageStatus, _Mapping]] = ..., state_sync: _Optional[_Union[StateSyncStatus, _Mapping]] = ..., backfill: _Optional[_Union[BackfillStatus, _Mapping]] = ..., sql: _Optional[_Union[SqlStatus, _Mapping]] = ...) -> None: ...

class BlockSyncStatus(_message.Message):
    __slots__ = ("first_height", "height", "target_height", "percent", "blocks_per_second", "transactions_per_second", "peers", "seconds_left", "waits_for")
    FIRST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TARGET_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    first_height: int
    height: int
    target_height: int
    percent: float
    blocks_per_second: float
    transactions_per_second: float
    peers: int
    seconds_left: int
    waits_for: str
    def __init__(self, first_height: _Optional[int] = ..., height: _Optional[int] = ..., target_height: _Optional[int] = ..., percent: _Optional[float] = ..., blocks_per_second: _Optional[float] = ..., transactions_per_second: _Optional[float] = ..., peers: _Optional[int] = ..., seconds_left: _Optional[int] = ..., waits_for: _Optional[str] = ...) -> None: ...

class GetBlockRequest(_message.Message):
    __slots__ = ("height", "hash")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    height: int
    hash: bytes
    def __init__(self, height: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class GetBlockResponse(_message.Message):
    __slots__ = ("block_id", "block")
    BLOCK_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    block_id: _types_pb2_1.BlockID
    block: _block_pb2.Block
    def __init__(self, block_id: _Optional[_Union[_types_pb2_1.BlockID, _Mapping]] = ..., block: _Optional[_Union[_block_pb2.Block, _Mapping]] = ...) -> None: ...

class ListBlocksRequest(_message.Message):
    __slots__ = ("max_height", "limit")
    MAX_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    max_height: int
    limit: int
    def __init__(self, max_height: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListBlocksResponse(_message.Message):
    __slots__ = ("blocks",)
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[_types_pb2_1.BlockMeta]
    def __init__(self, blocks: _Optional[_Iterable[_Union[_types_pb2_1.BlockMeta, _Mapping]]] = ...) -> None: ...

class GetCommitRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetCommitResponse(_message.Message):
    __slots__ = ("light_block", "canonical")
    LIGHT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    light_block: _types_pb2_1.LightBlock
    canonical: bool
    def __init__(self, light_block: _Optional[_Union[_types_pb2_1.LightBlock, _Mapping]] = ..., canonical: _Optional[bool] = ...) -> None: ...

class GetValidatorsRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetValidatorsResponse(_message.Message):
    __slots__ = ("height", "validators", "proposer")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALIDATORS_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    height: int
    validators: _containers.RepeatedCompositeFieldContainer[_validator_pb2.Validator]
    proposer: bytes
    def __init__(self, height: _Optional[int] = ..., validators: _Optional[_Iterable[_Union[_validator_pb2.Validator, _Mapping]]] = ..., proposer: _Optional[bytes] = ...) -> None: ...

class StreamBlocksRequest(_message.Message):
    __slots__ = ("from_height", "with_results")
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WITH_RESULTS_FIELD_NUMBER: _ClassVar[int]
    from_height: int
    with_results: bool
    def __init__(self, from_height: _Optional[int] = ..., with_results: _Optional[bool] = ...) -> None: ...

class StreamBlocksResponse(_message.Message):
    __slots__ = ("block_id", "block", "results", "app_hash", "events")
    BLOCK_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    APP_HASH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    block_id: _types_pb2_1.BlockID
    block: _block_pb2.Block
    results: _containers.RepeatedCompositeFieldContainer[TxOutcome]
    app_hash: bytes
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, block_id: _Optional[_Union[_types_pb2_1.BlockID, _Mapping]] = ..., block: _Optional[_Union[_block_pb2.Block, _Mapping]] = ..., results: _Optional[_Iterable[_Union[TxOutcome, _Mapping]]] = ..., app_hash: _Optional[bytes] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class TxOutcome(_message.Message):
    __slots__ = ("hash", "code", "codespace", "data", "gas_used", "events", "log", "gas_wanted")
    HASH_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODESPACE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    GAS_WANTED_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    code: int
    codespace: str
    data: bytes
    gas_used: int
    events: _containers.RepeatedCompositeFieldContainer[Event]
    log: str
    gas_wanted: int
    def __init__(self, hash: _Optional[bytes] = ..., code: _Optional[int] = ..., codespace: _Optional[str] = ..., data: _Optional[bytes] = ..., gas_used: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., log: _Optional[str] = ..., gas_wanted: _Optional[int] = ...) -> None: ...

class BroadcastEvidenceRequest(_message.Message):
    __slots__ = ("evidence",)
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    evidence: bytes
    def __init__(self, evidence: _Optional[bytes] = ...) -> None: ...

class BroadcastEvidenceResponse(_message.Message):
    __slots__ = ("hash", "is_new")
    HASH_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    hash: bytes
    is_new: bool
    def __init__(self, hash: _Optional[bytes] = ..., is_new: _Optional[bool] = ...) -> None: ...

class GetBlockResultsRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetBlockResultsResponse(_message.Message):
    __slots__ = ("height", "results", "events", "validator_updates", "app_hash")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_UPDATES_FIELD_NUMBER: _ClassVar[int]
    APP_HASH_FIELD_NUMBER: _ClassVar[int]
    height: int
    results: _containers.RepeatedCompositeFieldContainer[TxOutcome]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    validator_updates: _containers.RepeatedCompositeFieldContainer[_types_pb2.ValidatorUpdate]
    app_hash: bytes
    def __init__(self, height: _Optional[int] = ..., results: _Optional[_Iterable[_Union[TxOutcome, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., validator_updates: _Optional[_Iterable[_Union[_types_pb2.ValidatorUpdate, _Mapping]]] = ..., app_hash: _Optional[bytes] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("type", "attributes")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    type: str
    attributes: _containers.RepeatedCompositeFieldContainer[EventAttribute]
    def __init__(self, type: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[EventAttribute, _Mapping]]] = ...) -> None: ...

class EventAttribute(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class EventCursor(_message.Message):
    __slots__ = ("height", "index")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    height: int
    index: int
    def __init__(self, height: _Optional[int] = ..., index: _Optional[int] = ...) -> None: ...

class StreamEventsRequest(_message.Message):
    __slots__ = ("after", "from_height", "to_height", "types", "where")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TO_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    after: EventCursor
    from_height: int
    to_height: int
    types: _containers.RepeatedScalarFieldContainer[str]
    where: _containers.RepeatedCompositeFieldContainer[EventAttribute]
    def __init__(self, after: _Optional[_Union[EventCursor, _Mapping]] = ..., from_height: _Optional[int] = ..., to_height: _Optional[int] = ..., types: _Optional[_Iterable[str]] = ..., where: _Optional[_Iterable[_Union[EventAttribute, _Mapping]]] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("cursor", "tx_hash", "tx_index", "event")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    TX_INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    cursor: EventCursor
    tx_hash: bytes
    tx_index: int
    event: Event
    def __init__(self, cursor: _Optional[_Union[EventCursor, _Mapping]] = ..., tx_hash: _Optional[bytes] = ..., tx_index: _Optional[int] = ..., event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class StateProof(_message.Message):
    __slots__ = ("height", "store", "key", "value", "ops", "light_block")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    LIGHT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    height: int
    store: str
    key: bytes
    value: bytes
    ops: _proof_pb2.ProofOps
    light_block: _types_pb2_1.LightBlock
    def __init__(self, height: _Optional[int] = ..., store: _Optional[str] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., ops: _Optional[_Union[_proof_pb2.ProofOps, _Mapping]] = ..., light_block: _Optional[_Union[_types_pb2_1.LightBlock, _Mapping]] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("address", "height", "prove")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    height: int
    prove: bool
    def __init__(self, address: _Optional[bytes] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("height", "account", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    account: _state_pb2.Account
    proof: StateProof
    def __init__(self, height: _Optional[int] = ..., account: _Optional[_Union[_state_pb2.Account, _Mapping]] = ..., proof: _Optional[_Union[StateProof, _Mapping]] = ...) -> None: ...

class GetIdentityRequest(_message.Message):
    __slots__ = ("address", "name", "height", "prove")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    name: str
    height: int
    prove: bool
    def __init__(self, address: _Optional[bytes] = ..., name: _Optional[str] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetIdentityResponse(_message.Message):
    __slots__ = ("height", "identity", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    identity: _state_pb2.Identity
    proof: StateProof
    def __init__(self, height: _Optional[int] = ..., identity: _Optional[_Union[_state_pb2.Identity, _Mapping]] = ..., proof: _Optional[_Union[StateProof, _Mapping]] = ...) -> None: ...

class GetChannelRequest(_message.Message):
    __slots__ = ("channel_id", "name", "height", "prove")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    name: str
    height: int
    prove: bool
    def __init__(self, channel_id: _Optional[bytes] = ..., name: _Optional[str] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetChannelResponse(_message.Message):
    __slots__ = ("height", "channel", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    channel: _state_pb2.Channel
    proof: StateProof
    def __init__(self, height: _Optional[int] = ..., channel: _Optional[_Union[_state_pb2.Channel, _Mapping]] = ..., proof: _Optional[_Union[StateProof, _Mapping]] = ...) -> None: ...

class ListChannelsRequest(_message.Message):
    __slots__ = ("after", "limit")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after: bytes
    limit: int
    def __init__(self, after: _Optional[bytes] = ..., limit: _Optional[int] = ...) -> None: ...

class ListChannelsResponse(_message.Message):
    __slots__ = ("height", "channels")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    height: int
    channels: _containers.RepeatedCompositeFieldContainer[_state_pb2.Channel]
    def __init__(self, height: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[_state_pb2.Channel, _Mapping]]] = ...) -> None: ...

class MountainProof(_message.Message):
    __slots__ = ("index", "leaf_count", "path")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEAF_COUNT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    index: int
    leaf_count: int
    path: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, index: _Optional[int] = ..., leaf_count: _Optional[int] = ..., path: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetMessageRequest(_message.Message):
    __slots__ = ("channel_id", "index", "height", "prove")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    index: int
    height: int
    prove: bool
    def __init__(self, channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetMessageResponse(_message.Message):
    __slots__ = ("height", "message", "path", "channel_proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    message: _state_pb2.ChatMessage
    path: MountainProof
    channel_proof: StateProof
    def __init__(self, height: _Optional[int] = ..., message: _Optional[_Union[_state_pb2.ChatMessage, _Mapping]] = ..., path: _Optional[_Union[MountainProof, _Mapping]] = ..., channel_proof: _Optional[_Union[StateProof, _Mapping]] = ...) -> None: ...

class ListMessagesRequest(_message.Message):
    __slots__ = ("channel_id", "from_index", "limit", "height", "prove")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_INDEX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    from_index: int
    limit: int
    height: int
    prove: bool
    def __init__(self, channel_id: _Optional[bytes] = ..., from_index: _Optional[int] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class ListMessagesResponse(_message.Message):
    __slots__ = ("height", "messages", "paths", "channel_proof", "message_count")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_PROOF_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    height: int
    messages: _containers.RepeatedCompositeFieldContainer[_state_pb2.ChatMessage]
    paths: _containers.RepeatedCompositeFieldContainer[MountainProof]
    channel_proof: StateProof
    message_count: int
    def __init__(self, height: _Optional[int] = ..., messages: _Optional[_Iterable[_Union[_state_pb2.ChatMessage, _Mapping]]] = ..., paths: _Optional[_Iterable[_Union[MountainProof, _Mapping]]] = ..., channel_proof: _Optional[_Union[StateProof, _Mapping]] = ..., message_count: _Optional[int] = ...) -> None: ...

class GetBundleRequest(_message.Message):
    __slots__ = ("replay_id", "height", "prove")
    REPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    replay_id: bytes
    height: int
    prove: bool
    def __init__(self, replay_id: _Optional[bytes] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetBundleResponse(_message.Message):
    __slots__ = ("height", "receipt", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    receipt: _state_pb2.Receipt
    proof: StateProof
    def __init__(self, height: _Optional[int] = ..., receipt: _Optional[_Union[_state_pb2.Receipt, _Mapping]] = ..., proof: _Optional[_Union[StateProof, _Mapping]] = ...) -> None: ...

class GetRecordRequest(_message.Message):
    __slots__ = ("store", "key", "height", "prove")
    STORE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    store: str
    key: bytes
    height: int
    prove: bool
    def __init__(self, store: _Optional[str] = ..., key: _Optional[bytes] = ..., height: _Optional[int] = ..., prove: _Optional[bool] = ...) -> None: ...

class GetRecordResponse(_message.Message):
    __slots__ = ("height", "value", "proof")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    height: int
    value: bytes
    proof: StateProof
    def __init__(self, height: _Optional[int] = ..., value: _Optional[bytes] = ..., proof: _Optional[_Union[StateProof, _Mapping]] = ...) -> None: ...

class GetInvariantsRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetInvariantsResponse(_message.Message):
    __slots__ = ("height", "invariants")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INVARIANTS_FIELD_NUMBER: _ClassVar[int]
    height: int
    invariants: _containers.RepeatedCompositeFieldContainer[Invariant]
    def __init__(self, height: _Optional[int] = ..., invariants: _Optional[_Iterable[_Union[Invariant, _Mapping]]] = ...) -> None: ...

class Invariant(_message.Message):
    __slots__ = ("name", "holds", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    holds: bool
    detail: str
    def __init__(self, name: _Optional[str] = ..., holds: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class GetParamsRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetParamsResponse(_message.Message):
    __slots__ = ("height", "json")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    height: int
    json: str
    def __init__(self, height: _Optional[int] = ..., json: _Optional[str] = ...) -> None: ...

class GetUpgradeRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetUpgradeResponse(_message.Message):
    __slots__ = ("height", "plan", "done", "versions", "app_version", "validators", "ready_power", "total_power", "software", "known", "halted")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATORS_FIELD_NUMBER: _ClassVar[int]
    READY_POWER_FIELD_NUMBER: _ClassVar[int]
    TOTAL_POWER_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    HALTED_FIELD_NUMBER: _ClassVar[int]
    height: int
    plan: _state_pb2.UpgradePlan
    done: _containers.RepeatedCompositeFieldContainer[_state_pb2.DoneUpgrade]
    versions: _containers.RepeatedCompositeFieldContainer[_state_pb2.ModuleVersion]
    app_version: int
    validators: _containers.RepeatedCompositeFieldContainer[ValidatorReadiness]
    ready_power: int
    total_power: int
    software: str
    known: _containers.RepeatedScalarFieldContainer[str]
    halted: str
    def __init__(self, height: _Optional[int] = ..., plan: _Optional[_Union[_state_pb2.UpgradePlan, _Mapping]] = ..., done: _Optional[_Iterable[_Union[_state_pb2.DoneUpgrade, _Mapping]]] = ..., versions: _Optional[_Iterable[_Union[_state_pb2.ModuleVersion, _Mapping]]] = ..., app_version: _Optional[int] = ..., validators: _Optional[_Iterable[_Union[ValidatorReadiness, _Mapping]]] = ..., ready_power: _Optional[int] = ..., total_power: _Optional[int] = ..., software: _Optional[str] = ..., known: _Optional[_Iterable[str]] = ..., halted: _Optional[str] = ...) -> None: ...

class ValidatorReadiness(_message.Message):
    __slots__ = ("address", "power", "names", "software", "announced_height")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    power: int
    names: _containers.RepeatedScalarFieldContainer[str]
    software: str
    announced_height: int
    def __init__(self, address: _Optional[bytes] = ..., power: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ..., software: _Optional[str] = ..., announced_height: _Optional[int] = ...) -> None: ...
