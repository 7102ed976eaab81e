"""Our application as another engine finds it: the genesis however it is written, blocks in order, what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chain.app_state.document import InvalidAppState
from chain.state.store import Stores
from chain.upgrade.plan import Plan
from consensus.abci.interface import (
    ApplyChunkResult,
    BlockRequest,
    CommitInfo,
    HaltRequested,
    InfoRequest,
    InitChainRequest,
    Misbehavior,
    MisbehaviorType,
    OfferSnapshotResult,
    Snapshot,
    ValidatorUpdate,
    VoteInfo,
)
from consensus.abci_socket.address import SocketAddress
from consensus.abci_socket.codec import Call
from consensus.abci_socket.errors import WrongCall
from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.formats.errors import InvalidGenesis
from consensus.system.clock import ThreadWorkers
from dchat.abci.application import ServedApplication
from dchat.abci.process import Served
from dchat.app.app import DchatApplication
from dchat.cli.main import dchat
from dchat.config import load
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home
from storage.memory import MemoryStore
from tests.support.chain.harness import drain
from tests.support.engine.abci import wire_to

DOUBLE = MisbehaviorType.DUPLICATE_VOTE


@pytest.fixture(scope="module")
def genesis(tmp_path_factory: pytest.TempPathFactory) -> GenesisDoc:
    network = make_network(tmp_path_factory.mktemp("net"), validators=2, ports=free_ports(2))
    return parse_genesis((network.home_of(network.nodes[0]) / "config" / "genesis.json").read_bytes())


def asked(genesis: GenesisDoc, app_state: bytes | None = None) -> InitChainRequest:
    updates = tuple(ValidatorUpdate(one.pub_key, one.power) for one in genesis.validators)
    state = genesis.app_state if app_state is None else app_state
    return InitChainRequest(
        genesis.genesis_time_ns, genesis.chain_id, genesis.consensus_params, updates, state, genesis.initial_height
    )


def served(**how: int) -> ServedApplication:
    return ServedApplication(Stores(MemoryStore()), **how)


def block(genesis: GenesisDoc, height: int) -> BlockRequest:
    votes = tuple(VoteInfo(one.pub_key.address, one.power, 2) for one in genesis.validators)
    commit = CommitInfo(0, votes if height > 1 else ())
    time_ns = genesis.genesis_time_ns + height * 10**9
    return BlockRequest((), commit, (), b"%032d" % height, height, time_ns, b"", genesis.validators[0].pub_key.address)


@pytest.mark.parametrize("indent", [None, 1, 2])
def test_one_genesis_gives_one_hash_however_it_is_written(genesis: GenesisDoc, indent: int | None) -> None:
    """CometBFT hands over the file's own text at its first start, and a compact one when it replays."""
    ours = DchatApplication(Stores(MemoryStore())).init_chain(asked(genesis))
    text = json.dumps(json.loads(genesis.app_state), indent=indent).replace("<", "\\u003c").encode()
    app = served()
    began = app.init_chain(asked(genesis, text))
    assert began.app_hash == ours.app_hash
    assert began.validators == ours.validators
    assert began.consensus_params is not None
    assert began.consensus_params.version.app == app.info(InfoRequest("", 0, 0)).app_version
    order = replace(asked(genesis), validators=asked(genesis).validators[::-1])
    assert served().init_chain(order).app_hash == ours.app_hash


@pytest.mark.parametrize("text", [b"{", b'{"chat": 1, "chat": 2}', b'"text"', b""])
def test_what_is_no_genesis_is_refused(genesis: GenesisDoc, text: bytes) -> None:
    with pytest.raises((InvalidGenesis, InvalidAppState)):
        served().init_chain(asked(genesis, text))


def test_the_same_blocks_give_the_same_hashes_as_in_process(genesis: GenesisDoc) -> None:
    ours, app = DchatApplication(Stores(MemoryStore())), served()
    for one in (ours, app):
        one.init_chain(asked(genesis))
    for height in (1, 2, 3):
        hashes = set()
        for one in (ours, app):
            hashes.add(drain(one.finalize_block(block(genesis, height))).app_hash)
            one.commit()
        assert len(hashes) == 1


def test_a_block_that_is_not_the_next_is_refused(genesis: GenesisDoc) -> None:
    app = served()
    app.init_chain(asked(genesis))
    for height in (0, 2):
        with pytest.raises(WrongCall, match="its next block is 1"):
            app.finalize_block(block(genesis, height))
        with pytest.raises(WrongCall):
            app.process_proposal(block(genesis, height))


def test_blocks_of_another_chain_are_refused_before_they_are_executed(genesis: GenesisDoc) -> None:
    """Audit 67: an engine of another chain that is ahead handed them over, and the state took them."""
    app = served()
    app.init_chain(asked(genesis))
    for height in (1, 2):
        drain(app.finalize_block(block(genesis, height)))
        app.commit()
    good = block(genesis, 3)
    strangers = CommitInfo(0, (VoteInfo(b"\x01" * 20, 10, 2), VoteInfo(b"\x02" * 20, 10, 2)))
    for bad, why in (
        (replace(good, last_commit=strangers), "none of its 2 signers is known"),
        (replace(good, time_ns=block(genesis, 2).time_ns), "is not after the last block's"),
    ):
        with pytest.raises(WrongCall, match=why):
            app.finalize_block(bad)
    with pytest.raises(WrongCall, match="has blocks up to 2"):
        app.init_chain(asked(genesis))
    one_known = CommitInfo(0, (*strangers.votes, *good.last_commit.votes[:1]))
    drain(app.finalize_block(replace(good, last_commit=one_known)))
    app.commit()
    assert app.last_height == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"last_commit": CommitInfo(0, (VoteInfo(b"\x01" * 20, -1, 2),))}, "the power of a voter is -1"),
        ({"misbehavior": (Misbehavior(DOUBLE, b"\x01" * 20, 1, 2, 0, 10),)}, "of height 2; allowed: 1 to 1"),
        ({"misbehavior": (Misbehavior(DOUBLE, b"\x01" * 20, -1, 1, 0, 10),)}, "of power -1 of 10"),
        ({"misbehavior": (Misbehavior(DOUBLE, b"\x01" * 20, 1, 1, 0, 2**62),)}, "of all"),
    ],
)
def test_what_no_engine_may_say_of_a_block_is_its_own_fault(
    genesis: GenesisDoc, change: dict[str, Any], why: str
) -> None:
    """Refused, and the application goes on for whoever asks next: it ended by an assertion of the machines."""
    app = served()
    with pytest.raises(WrongCall, match="has no genesis yet"):
        app.finalize_block(block(genesis, 0))
    with pytest.raises(WrongCall, match="initial_height is -1"):
        app.init_chain(replace(asked(genesis), initial_height=-1))
    app.init_chain(asked(genesis))
    drain(app.finalize_block(block(genesis, 1)))
    app.commit()
    for call in (app.process_proposal, app.finalize_block):
        with pytest.raises(WrongCall, match=why):
            call(replace(block(genesis, 2), **change))
    drain(app.finalize_block(block(genesis, 2)))


def test_no_offer_empties_an_application_that_has_blocks(genesis: GenesisDoc) -> None:
    """Audit 72: one that was refused before the first block opened the way for a later one."""
    app, offer = served(), Snapshot(1, 99, 1, b"h" * 32)
    assert app.offer_snapshot(offer, b"a" * 32) is OfferSnapshotResult.REJECT_FORMAT
    app.init_chain(asked(genesis))
    assert not app.is_restoring
    drain(app.finalize_block(block(genesis, 1)))
    app.commit()
    assert app.offer_snapshot(offer, b"a" * 32) is OfferSnapshotResult.ABORT
    assert app.apply_snapshot_chunk(0, b"", "").result is ApplyChunkResult.ABORT


def test_a_genesis_forgets_what_was_executed_on_the_one_before(genesis: GenesisDoc) -> None:
    app, changed = served(), json.loads(genesis.app_state)
    app.init_chain(asked(genesis))
    first = drain(app.process_proposal(block(genesis, 1)))
    assert first.accepted
    before = drain(app.finalize_block(block(genesis, 1))).app_hash
    changed["currency"]["accounts"][0]["balance"] = str(int(changed["currency"]["accounts"][0]["balance"]) + 1)
    app.init_chain(asked(genesis, json.dumps(changed).encode()))
    assert drain(app.finalize_block(block(genesis, 1))).app_hash != before


def test_what_a_served_snapshot_needs_is_not_let_go(genesis: GenesisDoc) -> None:
    app = served(retain_blocks=1)
    app.init_chain(asked(genesis))
    told = []
    for height in range(1, 6):
        app.held_height = 3 if height > 3 else 0
        drain(app.finalize_block(block(genesis, height)))
        told.append(app.commit().retain_height)
    assert told == [1, 2, 3, 3, 3]


def test_a_validators_home_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "data" / "blocks").mkdir(parents=True)
    result = CliRunner().invoke(dchat, ["abci", "--home", str(tmp_path)])
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--proxy-app", "ipc://x"], "is no address of an application"),
        (["--proxy-app", "unix://x", "--chain-id", "c", "--state-sync"], "of dchat's own application"),
        (["--proxy-app", "unix://x"], "name the chain to begin with --chain-id"),
    ],
)
def test_what_goes_with_no_other_application_is_refused(tmp_path: Path, flags: list[str], why: str) -> None:
    result = CliRunner().invoke(dchat, ["validator", "--home", str(tmp_path), *flags])
    assert result.exit_code == 2
    assert why in result.output


async def test_an_upgrade_that_this_build_does_not_know_ends_engine_and_application(
    genesis: GenesisDoc, tmp_path: Path
) -> None:
    """The engine is told why; the process would end with code 6, as a node does."""
    workers, failures = ThreadWorkers(), list[Exception]()
    config = load(None, environment={}).config
    home = Home.of(tmp_path, config)
    home.data.mkdir()
    one = Served(home, config, MemoryStore(), workers, lambda error, app: failures.append(error))
    address = SocketAddress("unix", path=str(tmp_path / "app.sock"))
    await one.start(address, lambda code, line: None)
    try:
        async with wire_to(address) as wire:
            await wire.ask("init_chain", asked(genesis))
            await wire.ask("finalize_block", block(genesis, 1))
            await wire.ask("commit")
            one.app.rehearse(Plan("unheard-of", 2))
            wire.send(Call("finalize_block", block(genesis, 2)))
            told = await wire.receive()
            assert told == Call("exception", 'finalize_block: UPGRADE "unheard-of" NEEDED at height: 2: ')
            assert await wire.receive() is None
    finally:
        await one.stop()
        workers.close()
    assert [type(error) for error in failures] == [HaltRequested]
    assert one.app.last_height == 1
