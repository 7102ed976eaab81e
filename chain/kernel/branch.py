"""Branches of the state: what is read lies below, what is written stays in a dict until it is merged or dropped.

Values are records (immutable objects that `encode` to their stored bytes) or bytes; None is absence. A key begins with
the tag of its space: lower case for what the trees prove, upper case for side records; a `Key` knows its record. One
committed base serves every branch from decoded records, so that neither a block nor a check decodes an account twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from google.protobuf.message import Message

from chain.state.roots import BRIDGE, CHAT, CURRENCY
from chain.tx.errors import NumberTooWide, RecordTooLarge
from consensus.state.results import Event

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TAG_BRIDGE, TAG_CHAT, TAG_CURRENCY = b"b", b"c", b"u"
SIDE_BRIDGE, SIDE_CHAT, SIDE_CURRENCY = b"B", b"C", b"U"

SPACES: Final[Mapping[int, tuple[str, bool]]] = {  # the tag -> store, whether beside the tree
    TAG_BRIDGE[0]: (BRIDGE, False),
    TAG_CHAT[0]: (CHAT, False),
    TAG_CURRENCY[0]: (CURRENCY, False),
    SIDE_BRIDGE[0]: (BRIDGE, True),
    SIDE_CHAT[0]: (CHAT, True),
    SIDE_CURRENCY[0]: (CURRENCY, True),
}
RECORD_BYTES_MAX: Final = 65_536  # the stores' bound of a value, and of each of these beside the trees
RECORDS_PER_SLICE: Final = 200  # about a millisecond of encoding
CACHE_GENERATION_BYTES: Final = 40_000_000  # of decoded records as they are estimated; there are two generations
CACHED_BYTES: Final = 500  # what a key with a small record takes: 80,000 accounts are a generation
LARGE_BYTES: Final = 256  # a stored record above it counts by its size
DECODED_FACTOR: Final = 6  # what is made of a large record takes so many times its bytes at most: a proposal's changes
FREED_PER_RECORD: Final = 2  # of what is forgotten, for each that is kept: 200,000 at once would hold the loop

Decoders: TypeAlias = Mapping[bytes, Callable[[bytes], Any]]  # tag and the key's first byte -> from stored bytes


T = TypeVar("T")
R = TypeVar("R")


class Key(bytes, Generic[T]):
    """The key of one record, or the first bytes of all keys of a kind: what `get` finds there is a T.

    With anything added it is plain bytes when it runs, and a Key to the type checker alone: reading costs what it cost.
    record: the class whose `decode` reads it; bytes: it is kept as it is.
    """

    record: type[Any]

    @staticmethod
    def of(first: bytes, record: type[R]) -> Key[R | None]:
        """Of a record that may be absent."""
        return _key(first, record)

    @staticmethod
    def sure(first: bytes, record: type[R]) -> Key[R]:
        """Of one that is there for whoever asks: from genesis on, or as long as what it belongs to."""
        return _key(first, record)

    if TYPE_CHECKING:

        def __add__(self, rest: ReadableBuffer) -> Key[T]: ...


def _key(first: bytes, record: type[Any]) -> Key[Any]:
    key: Key[Any] = Key(first)
    key.record = record
    return key


def decoders_of(*keys: Key[Any]) -> Decoders:
    return {bytes(key): key.record.decode for key in keys if key.record is not bytes}


MakesEvent: TypeAlias = Callable[[], Event]  # for events that many blocks are full of: made when somebody reads them


class Record(Protocol):
    def encode(self) -> bytes: ...


class RecordKind(NamedTuple):
    """Records that are read by their key from outside: door, client and command go by this alone.

    prefix: as in Decoders. schema: the generated message that the stored bytes are of. what: for people.
    """

    prefix: bytes
    schema: type[Message]
    what: str

    @property
    def store(self) -> str:
        return SPACES[self.prefix[0]][0]

    def key(self, name: bytes) -> bytes:
        """In its store."""
        return self.prefix[1:] + name


class StoreReader(Protocol):
    """The stores at one version: `chain.state`'s Stores (the latest) and View (any)."""

    def get(self, store: str, key: bytes) -> bytes | None: ...
    def side(self, store: str, key: bytes) -> bytes | None: ...
    def scan(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...
    def scan_side(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...


class Readable(Protocol):
    """What machines read: a branch, or the stores at any version."""

    @overload
    def get(self, key: Key[T]) -> T: ...
    @overload
    def get(self, key: bytes) -> Any: ...


class State(Readable, Protocol):
    """What machines read and write, and where they tell of what they did."""

    def set(self, key: bytes, value: Record | bytes | None) -> None: ...
    def emit(self, event: Event | MakesEvent) -> None: ...


class Scan(Protocol):
    """The pairs under a prefix as the last block left them, ascending; from the key `start` on, if one is given."""

    def __call__(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]: ...


class Base:
    """The stores at one version, decoded, with a cache that is bounded by what it holds."""

    __slots__ = ("_decoders", "_dying", "_large", "_large_bytes", "_old", "_old_large", "_stores", "_young")

    def __init__(self, stores: StoreReader, decoders: Decoders) -> None:
        self._stores, self._decoders = stores, decoders
        self._young: dict[bytes, Any] = {}
        self._old: dict[bytes, Any] = {}
        self._large: dict[bytes, int] = {}  # of the young: key -> estimated bytes beyond those of a small one
        self._old_large: dict[bytes, int] = {}
        self._large_bytes = 0  # of the young
        self._dying: list[dict[bytes, Any]] = []  # forgotten, and freed little by little

    @overload
    def get(self, key: Key[T]) -> T: ...
    @overload
    def get(self, key: bytes) -> Any: ...
    def get(self, key: bytes) -> Any:
        value = self._young.get(key, _MISSING)
        if value is not _MISSING:
            return value
        value = self._old.get(key, _MISSING)
        if value is _MISSING:
            return self._load(key)
        self._keep(key, value, self._old_large.get(key, 0))
        return value

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        """Stored pairs under `prefix` (a tag and more), ascending, decoded; keys with their tag. start: of a key under
        the prefix, the first that may come; b"" for all.
        """
        assert not start or start.startswith(prefix), (prefix, start)
        store, beside = SPACES[prefix[0]]
        read = self._stores.scan_side if beside else self._stores.scan
        pairs = read(store, prefix[1:], start[1:])
        tag = prefix[:1]
        for key, stored in pairs:
            decode = self._decoders.get(tag + key[:1])
            yield tag + key, decode(stored) if decode else stored

    def merge(self, writes: Mapping[bytes, Any], large: Mapping[bytes, int] | None = None) -> None:
        """Take over what was just committed. large: what is above LARGE_BYTES, and its size, as `encode_changes` found.
        Of these, those beside the trees (messages) are not kept: who writes one does not read it again."""
        large = large or {}
        self._young.update(writes)
        for key in writes:
            self._old.pop(key, None)
        for key in self._large.keys() & writes.keys():
            self._large_bytes -= self._large.pop(key)
        for key in self._old_large.keys() & writes.keys():
            del self._old_large[key]
        for key, size in large.items():
            if SPACES[key[0]][1]:
                del self._young[key]
            else:
                self._weigh(key, _estimate(size, is_decoded=type(writes[key]) is not bytes))
        self._turn(len(writes))

    def _load(self, key: bytes) -> Any:
        store, beside = SPACES[key[0]]
        stored = self._stores.side(store, key[1:]) if beside else self._stores.get(store, key[1:])
        if stored is None:
            self._keep(key, None, 0)
            return None
        decode = self._decoders.get(key[:2])
        value = decode(stored) if decode else stored
        self._keep(key, value, _estimate(len(stored), is_decoded=decode is not None))
        return value

    def _keep(self, key: bytes, value: Any, more_bytes: int) -> None:
        self._young[key] = value
        if more_bytes:
            self._weigh(key, more_bytes)
        self._turn(1)

    def _weigh(self, key: bytes, more_bytes: int) -> None:
        self._large[key] = more_bytes
        self._large_bytes += more_bytes

    def _turn(self, kept: int) -> None:
        """After so many were kept."""
        if len(self._young) * CACHED_BYTES + self._large_bytes > CACHE_GENERATION_BYTES:
            for key in self._old_large:
                self._old.pop(key, None)
            self._dying.append(self._old)
            self._old, self._young = self._young, {}
            self._old_large, self._large, self._large_bytes = self._large, {}, 0
        freed = FREED_PER_RECORD * kept
        while self._dying and freed > 0:
            last = self._dying[-1]  # the latest first: the earlier ones only become fewer
            if not last:
                self._dying.pop()
                continue
            last.popitem()
            freed -= 1


def _estimate(stored_bytes: int, *, is_decoded: bool) -> int:
    """Bytes beyond those of a small record."""
    if stored_bytes <= LARGE_BYTES:
        return 0
    return stored_bytes * DECODED_FACTOR if is_decoded else stored_bytes


class Branch:
    """Writes over something that reads, until a branch below takes them or they are dropped; and the events that go
    with them.
    """

    __slots__ = ("_below", "events", "writes")

    def __init__(self, below: Callable[[bytes], Any]) -> None:
        self._below = below
        self.writes: dict[bytes, Any] = {}
        self.events: list[Event | MakesEvent] = []

    @overload
    def get(self, key: Key[T]) -> T: ...
    @overload
    def get(self, key: bytes) -> Any: ...
    def get(self, key: bytes) -> Any:
        value = self.writes.get(key, _MISSING)
        return self._below(key) if value is _MISSING else value

    def set(self, key: bytes, value: Record | bytes | None) -> None:
        self.writes[key] = value

    def emit(self, event: Event | MakesEvent) -> None:
        self.events.append(event)

    def take(self, above: Branch) -> None:
        """Merge what was written in a branch over this one, and empty that."""
        self.writes.update(above.writes)
        self.events += above.events
        above.writes, above.events = {}, []

    def pop_events(self) -> tuple[Event, ...]:
        """Take the events, which are somebody else's from now on."""
        if not self.events:
            return ()
        events, self.events = self.events, []
        return tuple([event if isinstance(event, Event) else event() for event in events])

    def drop(self) -> None:
        """Forget what was written here."""
        if self.writes:
            self.writes = {}
        if self.events:
            self.events = []


def check_records(writes: Mapping[bytes, Any]) -> None:
    """Whether all of it can be stored as it is held: asked where somebody's work is merged, so that what cannot be
    fails that work (a transaction, an action, an item of a queue) and never the block.

    A record that is written often says by `fits` whether its numbers do; any other is encoded once more.
    Raises: NumberTooWide, RecordTooLarge.
    """
    for record in writes.values():
        if record is None:
            continue
        if type(record) is bytes:
            _check_size(record)
        elif not hasattr(record, "fits"):
            _check_encoded(record)
        elif not record.fits():
            raise NumberTooWide(type(record).__name__)


def _check_encoded(record: Record) -> None:
    try:
        stored = record.encode()
    except (ValueError, OverflowError) as error:  # what the generated classes and `to_bytes` say
        raise NumberTooWide(type(record).__name__) from error
    _check_size(stored)


def _check_size(stored: bytes) -> None:
    if not 0 < len(stored) <= RECORD_BYTES_MAX:
        raise RecordTooLarge(f"{len(stored)} bytes, allowed: 1 to {RECORD_BYTES_MAX}")


class _Missing:
    pass


_MISSING: Final = _Missing()


Encoded: TypeAlias = dict[str, dict[bytes, bytes | None]]  # store -> key -> value


def encode_changes(
    writes: Mapping[bytes, Any], large: dict[bytes, int] | None = None
) -> Generator[None, None, tuple[Encoded, Encoded]]:
    """A block's writes as the stores take them: (under the trees, beside them). Yields after a millisecond of work.

    large: takes the sizes of what is above LARGE_BYTES, for `Base.merge`.
    """
    proven: Encoded = {BRIDGE: {}, CHAT: {}, CURRENCY: {}}
    beside: Encoded = {BRIDGE: {}, CHAT: {}, CURRENCY: {}}
    for number, (key, value) in enumerate(writes.items(), start=1):
        store, side = SPACES[key[0]]
        stored = value if value is None or type(value) is bytes else value.encode()
        (beside if side else proven)[store][key[1:]] = stored
        if large is not None and stored is not None and len(stored) > LARGE_BYTES:
            large[key] = len(stored)
        if number % RECORDS_PER_SLICE == 0:
            yield
    return proven, beside
