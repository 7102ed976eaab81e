"""MapApplication: what fails leaves nothing, what is committed survives a restart, the hash is of all changes."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.abci.interface import (
    Application,
    BlockRequest,
    CheckTxRequest,
    CommitInfo,
    InfoRequest,
    InitChainRequest,
    QueryRequest,
    Slices,
)
from consensus.node.application import BaseApplication, MapApplication, State, hash_after
from consensus.node.errors import TransactionRefused
from consensus.state.results import ExecTxResult
from consensus.types.params import ConsensusParams
from crypto.hash import sha256
from storage.memory import MemoryStore

T = TypeVar("T")


class Words(MapApplication):
    """Sets the words of a transaction, one after the other, and refuses at `stop`; `-word` takes one away."""

    def begin(self, app_state: bytes, state: State) -> None:
        if app_state:
            state[b"genesis"] = app_state

    def check(self, tx: bytes, state: State) -> None:
        if b"genesis" not in state:
            raise TransactionRefused("nothing without a genesis", code=7, codespace="words")

    def execute(self, tx: bytes, state: State) -> bytes:
        for word in tx.split():
            if word == b"stop":
                raise TransactionRefused("asked to stop", code=9)
            if word.startswith(b"-"):
                del state[word[1:]]
            else:
                state[word] = b"said"
        return tx.upper()


def done(slices: Slices[T]) -> T:
    while True:
        try:
            next(slices)
        except StopIteration as stop:
            answer: T = stop.value
            return answer


def block(height: int, *txs: bytes) -> BlockRequest:
    return BlockRequest(txs, CommitInfo(0, ()), (), b"hash", height, 10**18, b"", b"")


def begun(db: MemoryStore, app_state: bytes = b"") -> Words:
    app = Words(db)
    app.init_chain(InitChainRequest(10**18, "words", ConsensusParams(), (), app_state, 1))
    return app


def value(app: Words, key: bytes) -> bytes:
    return app.query(QueryRequest("", key)).value


def test_it_has_all_of_the_interface() -> None:
    app: Application = Words(MemoryStore())  # mypy holds it to the protocol
    assert app.info(InfoRequest("", 0, 0)).last_block_height == 0
    assert app.list_snapshots() == ()
    assert BaseApplication().query(QueryRequest("")).code != 0


def test_a_refused_transaction_leaves_nothing() -> None:
    app = begun(MemoryStore())
    told = done(app.finalize_block(block(1, b"one two", b"three stop", b"four -one")))
    assert told.tx_results == (
        ExecTxResult(data=b"ONE TWO"), ExecTxResult(code=9, log="asked to stop"), ExecTxResult(data=b"FOUR -ONE"),
    )  # fmt: skip
    assert value(app, b"two") == b""  # not before the commit
    app.commit()
    assert [value(app, key) for key in (b"one", b"two", b"three", b"four")] == [b"", b"said", b"", b"said"]
    assert app.query(QueryRequest("", b"three")).code != 0


def test_the_hash_is_of_the_changes_in_order_of_keys() -> None:
    app = begun(MemoryStore())
    start = hash_after(b"", {})
    assert start == sha256(b"")
    first = done(app.finalize_block(block(1, b"b a", b"-c"))).app_hash
    eight = (1).to_bytes(8) + b"%b" + b"%b"
    said, gone = (5).to_bytes(8) + b"said", bytes(8)
    assert first == sha256(start + eight % (b"a", said) + eight % (b"b", said) + eight % (b"c", gone))
    again = done(app.finalize_block(block(1, b"b a", b"-c"))).app_hash
    assert again == first  # what was finalized and not committed counts for nothing
    app.commit()
    assert done(app.finalize_block(block(2))).app_hash == first  # nothing changed
    assert done(app.finalize_block(block(2, b"a"))).app_hash == sha256(first + eight % (b"a", said))


def test_what_the_genesis_says_is_there_from_the_first_block() -> None:
    db = MemoryStore()
    app = begun(db, b'{"a": 1}')
    assert app.check_tx(CheckTxRequest(b"x")).code == 0
    assert begun(MemoryStore()).check_tx(CheckTxRequest(b"x")) == (7, "nothing without a genesis", "words", *REST)
    stopped = begun(db, b'{"a": 1}')  # before the first commit nothing is on disk, and the engine begins anew
    assert stopped.app_hash == app.app_hash != hash_after(b"", {})
    done(stopped.finalize_block(block(1)))
    stopped.commit()
    assert value(stopped, b"genesis") == b'{"a": 1}'


REST = begun(MemoryStore(), b"1").check_tx(CheckTxRequest(b""))[3:]


def test_a_restart_goes_on_where_it_was() -> None:
    db = MemoryStore()
    app = begun(db, b"1")
    for height, tx in enumerate((b"one", b"two", b"-one"), start=1):
        done(app.finalize_block(block(height, tx)))
        app.commit()
    done(app.finalize_block(block(4, b"lost")))  # and no commit
    again = Words(db)
    told = again.info(InfoRequest("", 0, 0))
    assert (told.last_block_height, told.last_block_app_hash) == (3, app.app_hash)
    assert [value(again, key) for key in (b"one", b"two", b"lost")] == [b"", b"said", b""]
    assert done(again.finalize_block(block(4, b"lost"))) == done(app.finalize_block(block(4, b"lost")))


WORDS = st.lists(st.sampled_from([b"a", b"b", b"c", b"-a", b"-b", b"stop"]), min_size=1, max_size=4).map(b" ".join)


@given(st.lists(st.tuples(st.lists(WORDS, max_size=4), st.booleans()), max_size=6))
def test_any_history_is_that_of_a_plain_dict_whoever_restarts(blocks: list[tuple[list[bytes], bool]]) -> None:
    """Two nodes, of which one is started anew before some blocks, and a dict."""
    db, plain = MemoryStore(), dict[bytes, bytes]()
    steady, restarted = begun(MemoryStore()), begun(db)
    for height, (txs, is_restart) in enumerate(blocks, start=1):
        if is_restart and height > 1:
            restarted = Words(db)
        for tx in txs:
            after = dict(plain)
            for word in tx.split():
                if word == b"stop":
                    break
                if word.startswith(b"-"):
                    after.pop(word[1:], None)
                else:
                    after[word] = b"said"
            else:
                plain = after
        answers = [done(app.finalize_block(block(height, *txs))) for app in (steady, restarted)]
        assert answers[0] == answers[1]
        for app in (steady, restarted):
            app.commit()
            assert {key: value(app, key) for key in (b"a", b"b", b"c") if value(app, key)} == plain


def test_a_state_reads_through_and_keeps_its_changes_to_itself() -> None:
    below = State(MemoryStore({b"sa": b"1"}))
    above = State(below)
    above[b"b"] = b"2"
    del above[b"a"]
    assert (above.get(b"a"), above[b"b"], b"a" in above, b"b" in below) == (None, b"2", False, False)
    assert below[b"a"] == b"1"
    with pytest.raises(KeyError):
        _ = above[b"a"]
