"""Test networks: what can be said of one that is made, and four real processes on this machine: blocks, both chains and
the bridge, proofs, SIGKILL and SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result

from chain.tx.messages import (
    LANE_BRIDGE,
    CreateChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from crypto import native
from dchat.cli.local import testnet_control
from dchat.cli.main import dchat as dchat_command
from dchat.client.client import Client, NodeUnreachable
from dchat.client.wallet import Outcome, Session
from dchat.devnet import processes
from dchat.devnet.leases import PORTS_EACH, free_ports, lease_ports
from dchat.devnet.network import Network, Ports, load_network, make_network
from dchat.home import identity
from governance.actions import MODULES
from tests.support.cli.network import DCHAT, PACE
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[3]


WITHOUT_NATIVE = (3, 4)  # beside two that use the native part, where it is built: both kinds agree


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    yield from running(tmp_path, 4)


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Network]:
    yield from running(tmp_path, 1)


def running(folder: Path, validators: int) -> Iterator[Network]:
    made = make_network(folder, validators=validators, pace=PACE, ports=free_ports(validators))
    try:
        for node in made.nodes:
            if node.index in WITHOUT_NATIVE:
                options = made.home_of(node) / "validator-config.toml"
                options.write_text(f"{options.read_text()}\n[node]\nnative = false\n")
            processes.start(made, node)
        yield made
    finally:
        for node in made.nodes:
            if processes.running_pid(made, node) is not None:
                processes.kill(made, node)


# ------------------------------------------------------------------------------ what can be said of a new one


def make(command: str, folder: Path, *options: str) -> Result:
    """By either command; nothing is started."""
    if command == "dchat testnet":
        return CliRunner().invoke(dchat_command, ["testnet", "--output", str(folder), *options], prog_name="dchat")
    return CliRunner().invoke(testnet_control.control, ["--home", str(folder), *options])


@pytest.fixture(params=["dchat testnet", "scripts/testnet"])
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(testnet_control, "_run", lambda network, detach: None)
    monkeypatch.setattr(testnet_control, "require_free", lambda *_, **__: None)  # the usual ones may be anybody's here
    name: str = request.param
    return name


@pytest.mark.parametrize(("options", "want"), [
    pytest.param(
        ("--voting-period", "60s"),
        {"governance": {"voting_period_s": "60", "expedited_voting_period_s": "30", "deposit_period_s": "120"}},
        id="the other periods follow the voting period",
    ),
    pytest.param(
        ("--voting-period", "1s"),
        {"governance": {"voting_period_s": "1", "expedited_voting_period_s": "1"}}, id="as short as can be",
    ),
    pytest.param(
        ("--voting-period", "2m", "--param", "governance.expedited_voting_period_s=7"),
        {"governance": {"voting_period_s": "120", "expedited_voting_period_s": "7"}}, id="what --param names counts",
    ),
    pytest.param(
        ("--unbonding-time", "45"),
        {"staking": {"unbonding_s": "45"}, "evidence": {"max_age_duration": "45000000000"}},
        id="evidence is punishable as long as stake unbonds",
    ),
    pytest.param(
        ("--param", "staking.unbonding_s=30", "--param", "slashing.evidence_age_s_max=20"),
        {"staking": {"unbonding_s": "30"}, "evidence": {"max_age_duration": "20000000000"}}, id="or shorter",
    ),
    pytest.param(
        tuple(
            word for change in (
                "staking.min_stake=1000000000", "slashing.missed_blocks_window=20", "slashing.tombstone=0",
                "distribution.community_tax=0.5", "mint.blocks_per_year=1000", "currency.gas_price=0",
                "chat.message_bytes_max=99", "bridge.receipt_blocks=9", "governance.quorum=0", "block.max_gas=20000000",
            ) for word in ("--param", change)
        ),
        {
            "staking": {"min_stake": "1000000000"}, "slashing": {"missed_blocks_window": "20", "tombstone": "0"},
            "distribution": {"community_tax": "0.5"}, "mint": {"blocks_per_year": "1000"},
            "currency": {"gas_price": "0"}, "chat": {"message_bytes_max": "99"}, "bridge": {"receipt_blocks": "9"},
            "governance": {"quorum": "0"}, "block": {"max_gas": "20000000"},
        },
        id="every module",
    ),
])  # fmt: skip
def test_a_new_network_has_the_params_that_were_said(
    tmp_path: Path, command: str, options: tuple[str, ...], want: dict[str, dict[str, str]]
) -> None:
    made = make(command, tmp_path / "net", "--validators", "2", *options)
    assert made.exit_code == 0, made.output
    genesis = json.loads((tmp_path / "net" / "validator2" / "config" / "genesis.json").read_text())
    found = {name: section.get("params") for name, section in genesis["app_state"].items()}
    found |= genesis["consensus_params"]
    assert {module: {name: found[module][name] for name in values} for module, values in want.items()} == want


@pytest.mark.parametrize(("options", "said"), [
    pytest.param("--param staking.unbonding=60", "unknown; allowed: unbonding_s, validators_max", id="unknown name"),
    pytest.param("--param stake.unbonding_s=60", f"allowed: {', '.join(MODULES)}", id="unknown module"),
    pytest.param("--param unbonding_s=60", "expected MODULE.NAME=VALUE", id="no module"),
    pytest.param("--param staking.unbonding_s", "expected MODULE.NAME=VALUE", id="no value"),
    pytest.param("--param staking.unbonding_s=60s", "allowed: a string of digits", id="no number"),
    pytest.param("--param staking.unbonding_s=-1", "allowed: a string of digits", id="negative"),
    pytest.param("--param slashing.slash_downtime=1.5", "is 1.5; allowed: 0 to 1", id="above its range"),
    pytest.param("--param staking.validators_max=1", "validators: 2, allowed: 1", id="there are more validators"),
    pytest.param("--param block.max_bytes=5", "allowed: 1048576 to 22020096", id="too small for any proposal"),
    pytest.param(
        "--param slashing.evidence_age_s_max=9999999", "allowed: staking.unbonding_s, 1209600", id="beside another"
    ),
    pytest.param("--param chat.message_bytes_max=5 --param chat.message_bytes_max=6", "there twice", id="twice"),
    pytest.param("--voting-period 0", "allowed: 1s and more", id="no time at all"),
    pytest.param("--voting-period 1500ms", "no whole number of seconds", id="a part of a second"),
    pytest.param("--unbonding-time soon", "is no length of time", id="no duration"),
    pytest.param("--fast --block-time 3s", "exclude each other", id="two paces"),
])  # fmt: skip
def test_a_network_that_cannot_be_is_refused_before_any_file(
    tmp_path: Path, command: str, options: str, said: str
) -> None:
    refused = make(command, tmp_path / "net", "--validators", "2", *options.split())
    assert refused.exit_code == 2
    assert said in refused.output.replace("\n", " ")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    "option", ["--fast", "--block-time 0", "--voting-period 9s", "--unbonding-time 9s", "--param chat.x=1"]
)
def test_a_network_that_exists_is_not_changed(tmp_path: Path, command: str, option: str) -> None:
    assert make(command, tmp_path, "--validators", "1").exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    refused = make(command, tmp_path, "--validators", "1", *option.split())
    assert refused.exit_code in (1, 2)
    assert "never overwritten" in refused.output or f"without {option.split(maxsplit=1)[0]}," in refused.output
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_nothing_is_made_or_started_where_a_port_is_taken(tmp_path: Path) -> None:
    """Before, half a network was started, and the reason stood in a log alone."""
    (ports,) = free_ports(1)
    folder = tmp_path / "net"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports.http))
        holder.listen()
        line = ["--home", str(folder), "--validators", "1", "--base-port", str(ports.http - 1)]
        told = CliRunner().invoke(testnet_control.control, line)
        assert told.exit_code == 1, told.output
        assert f"127.0.0.1:{ports.http} (validator1's HTTP): process {os.getpid()} (" in told.output
        assert "nothing was started" in told.output
        assert "--base-port" in told.output
        assert not folder.exists()
        made = make_network(folder, validators=1, pace=PACE, ports=[ports])
        told = CliRunner().invoke(testnet_control.control, ["start", "--home", str(folder)])
        assert (told.exit_code, f"scripts/testnet --home {folder}-2 --base-port" in told.output) == (1, True)
        assert processes.running_pid(made, made.node(1)) is None
    assert "is no address of this machine" in CliRunner().invoke(
        testnet_control.control, ["--home", str(tmp_path / "far"), "--host", "192.0.2.1"]
    ).output  # fmt: skip


def test_a_base_port_and_a_host_are_those_of_all_nodes(command: str, tmp_path: Path) -> None:
    done = make(command, tmp_path / "net", "--validators", "2", "--base-port", "21000", "--host", "127.0.0.9")
    assert done.exit_code == 0, done.output
    network = load_network(tmp_path / "net")
    assert network.host == "127.0.0.9"
    assert [node.ports for node in network.nodes] == [
        Ports(21_000, 21_001, 21_002, 21_003, 21_004), Ports(21_005, 21_006, 21_007, 21_008, 21_009),
    ]  # fmt: skip
    assert 'listen_address = "127.0.0.9:21005"' in (tmp_path / "net/validator2/validator-config.toml").read_text()


def test_a_validator_that_does_not_start_is_told_with_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_network(tmp_path, validators=1, pace=PACE, ports=free_ports(1))
    (tmp_path / "validator1" / "validator-config.toml").write_text("[nothing]\nof = 1\n")
    with pytest.raises(
        processes.ControlError, match=r"validator1 ended with exit code 2; the end of .*:\n(.|\n)*nothing"
    ):
        processes.start(made, made.node(1))
    monkeypatch.setattr(processes, "START_TIMEOUT_S", 0.0)
    with pytest.raises(processes.ControlError, match=r"validator1 did not start within 0 s; the end of"):
        processes.start(made, made.node(1))
    assert processes.running_pid(made, made.node(1)) is None


def test_a_validator_that_ends_while_the_network_comes_up_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last lines of its log, whether somebody watches the table or waits for it to be up."""
    made = make_network(tmp_path, validators=1, pace=PACE, ports=free_ports(1))
    processes.log_file(made, made.node(1)).write_text("it came\nto nothing\n")
    monkeypatch.setattr(testnet_control, "REFRESH_S", 0.01)
    says = r"validator1 ended; the end of .*:\nit came\nto nothing"
    for watch in (testnet_control._watch, testnet_control._wait_for_blocks):
        with pytest.raises(testnet_control.ValidatorEnded, match=says):
            asyncio.run(watch(made))


async def test_a_node_shows_the_params_that_its_network_was_made_with(tmp_path: Path) -> None:
    params = {"staking": {"unbonding_s": "30"}, "slashing": {"min_signed_per_window": "0.05"}}
    made = make_network(tmp_path, validators=1, pace=PACE, ports=free_ports(1), params=params)
    try:
        processes.start(made, made.node(1))
        await until_height(made, (1,), 1)
        told = dchat(made, 1, "query", "params")["json"]
        assert (told["staking"]["params"]["unbonding_s"], told["slashing"]["params"]["evidence_age_s_max"]) == (
            "30", "30",
        )  # fmt: skip
        log = processes.log_file(made, made.node(1)).read_text()
        assert "differs from the chain's value" not in log  # its options say the same
    finally:
        processes.kill(made, made.node(1))


# ------------------------------------------------------------------------------ processes


def client(network: Network, index: int) -> Client:
    return Client(f"127.0.0.1:{network.node(index).ports.grpc}")


async def height_of(network: Network, index: int) -> int:
    async with client(network, index) as node:
        try:
            return (await node.status()).latest_block_height
        except NodeUnreachable:
            return 0


async def until_height(network: Network, indices: Sequence[int], height: int, *, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        heights = [await height_of(network, index) for index in indices]
        if min(heights) >= height:
            return
        assert time.monotonic() < deadline, f"heights {heights}, expected {height}: {logs(network)}"
        await asyncio.sleep(0.05)


def logs(network: Network) -> str:
    return "\n".join(processes.tail(network, node, 5) for node in network.nodes)


async def chains(network: Network, upto: int) -> set[tuple[tuple[bytes, bytes], ...]]:
    """Each node's (hash, app hash) of the heights 1 to `upto`: one when all agree."""
    found = set()
    for node in network.nodes:
        async with client(network, node.index) as door:
            blocks = [await door.block(height) for height in range(1, upto + 1)]
            found.add(tuple((block.block_id.hash, block.block.header.app_hash) for block in blocks))
    return found


def run(network: Network, index: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    home = network.home_of(network.node(index))
    command = [sys.executable, "-m", "dchat", *map(str, arguments), "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def dchat(network: Network, index: int, *arguments: object) -> dict[str, Any]:
    """Run the command for real; its JSON."""
    done = run(network, index, *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def story(network: Network) -> Outcome:
    """Two identities, a channel, and a bundle that pays to join, posts and pays: sent to two different nodes."""
    alice, bob = (identity.load(network.folder / network.accounts[name]) for name in ("alice", "bob"))
    lobby = channel_id("lobby")
    async with client(network, 2) as second, client(network, 3) as third:
        hers, his = Session(second, alice.wallet), Session(third, bob.wallet)
        await asyncio.gather(
            hers.send([RegisterIdentity(alice.address, "alice", "")]),
            his.send([RegisterIdentity(bob.address, "bob", "")]),
        )
        await hers.send([CreateChannel(alice.address, "lobby", 2 * DCHAT, "")])
        legs = [
            PayToJoin(bob.address, lobby, 2 * DCHAT),
            PostMessage(bob.address, lobby, b"hello", 0),
            Payment(bob.address, alice.address, DCHAT),
        ]
        return await his.send(legs, lane=LANE_BRIDGE)


async def test_four_validators_agree_through_a_kill(network: Network) -> None:
    everyone = (1, 2, 3, 4)
    await until_height(network, everyone, 2)

    # A payment by the command, and its proof through another node, from the genesis.
    accounts = {name: network.folder / file for name, file in network.accounts.items()}
    paid = dchat(network, 1, "tx", "pay", "--from", accounts["alice"], "--to", accounts["carol"], "--amount", "5")
    assert (paid["code"], paid["receipt"]["legs"][0]["amount"]) == (0, 5 * DCHAT)
    await until_height(network, everyone, paid["height"])
    told = dchat(network, 3, "query", "account", accounts["carol"], "--prove")
    assert told["account"]["balance"] == 1_000_005 * DCHAT
    assert told["verified"]["trusted"] == "the genesis"
    assert dchat(network, 2, "query", "tx", paid["hash"], "--prove")["height"] == paid["height"]

    bundle = await story(network)
    await until_height(network, everyone, bundle.height)
    messages = dchat(network, 4, "query", "messages", "lobby", "--prove")
    assert [message["content"] for message in messages["messages"]] == ["hello"]
    receipt = dchat(network, 1, "query", "bundle", bundle.replay_id.hex(), "--prove")["receipt"]
    assert [leg["kind"] for leg in receipt["legs"]] == ["pay_to_join", "post_message", "payment"]

    # One is killed: the others go on and take payments; it comes back and catches up.
    before = await height_of(network, 2)
    processes.kill(network, network.node(1))
    await until_height(network, (2, 3, 4), before + 3)
    paid = dchat(network, 2, "tx", "pay", "--from", accounts["bob"], "--to", accounts["dave"], "--amount", "1")
    processes.start(network, network.node(1))
    target = await height_of(network, 2)
    await until_height(network, everyone, target)
    assert dchat(network, 1, "query", "tx", paid["hash"])["height"] == paid["height"]
    await until_height(network, everyone, target + 3)

    assert len(await chains(network, target + 3)) == 1
    for index in everyone:
        rows = dchat(network, index, "query", "invariants")["invariants"]
        assert [row["name"] for row in rows if not row["holds"]] == []
        assert dchat(network, index, "health")["status"] == "ok"

    stopped = processes.stop(network, network.nodes)
    assert [node.index for node in stopped] == [1, 2, 3, 4]
    for node in network.nodes:
        text = processes.log_file(network, node).read_text()
        assert "event=stopped" in text.splitlines()[-1]
        assert "level=critical" not in text
        here = native.state()
        assert (" native=off" in text) == (here == "off" or (here == "on" and node.index in WITHOUT_NATIVE))


async def test_two_of_four_make_no_block_and_three_do(network: Network) -> None:
    await until_height(network, (1, 2, 3, 4), 2)
    for index in (3, 4):
        processes.kill(network, network.node(index))
    stuck = max([await height_of(network, index) for index in (1, 2)]) + 1  # one may be under way
    await asyncio.sleep(1.0)  # several times the pace: that nothing happens can only be waited for
    assert max([await height_of(network, index) for index in (1, 2)]) <= stuck
    processes.start(network, network.node(3))
    await until_height(network, (1, 2, 3), stuck + 2)


def test_a_second_process_on_one_home_is_refused(single: Network) -> None:
    """Two processes would sign with one key."""
    home = single.home_of(single.node(1))
    command = [sys.executable, "-m", "dchat", "validator", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "runs on this home already" in done.stderr.splitlines()[-1]
    assert processes.running_pid(single, single.node(1)) is not None


def test_a_node_of_another_network_at_our_ports_is_not_shown_as_ours(single: Network) -> None:
    other = replace(single, nodes=tuple(replace(node, node_id="0" * 40) for node in single.nodes))

    async def statuses(network: Network) -> list[bool]:
        async with aiohttp.ClientSession() as session:
            return [row.status is not None for row in await testnet_control.Watcher(network).rows(session)]

    assert processes.wait_for(lambda: asyncio.run(statuses(single)) == [True], 30)
    assert asyncio.run(statuses(other)) == [False]


def test_sighup_loads_the_log_options_again(single: Network) -> None:
    node = single.node(1)
    file = single.home_of(node) / "validator-config.toml"
    file.write_text(file.read_text() + '\n[log]\nlevel = "error"\n')
    pid = processes.running_pid(single, node)
    assert pid is not None

    def quiet() -> bool:
        os.kill(pid, signal.SIGHUP)
        size = processes.log_file(single, node).stat().st_size
        time.sleep(0.7)  # two blocks, each a line at the level before
        return processes.log_file(single, node).stat().st_size == size

    assert processes.wait_for(quiet, 20), processes.tail(single, node)
    assert processes.running_pid(single, node) == pid


def test_flags_alone_make_what_is_missing_and_run(tmp_path: Path) -> None:
    ports = free_ports(1)[0]
    keys, data = tmp_path / "me.json", tmp_path / "node"
    identity.generate().save(keys)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DCHAT_")},
        "DCHAT_GRPC__LISTEN_ADDRESS": f"127.0.0.1:{ports.grpc}",
        "DCHAT_API_PORT": str(ports.http),
        "DCHAT_ENABLE_METRICS": "false",
    }
    flags = ["--identity", keys, "--chain-id", "mine", "--data-dir", data, "--listen", f"127.0.0.1:{ports.p2p}"]
    command = [sys.executable, "-m", "dchat", "validator", *map(str, flags), "--stake", "5000", "--json-logs"]
    command += ["--rpc-listen", f"tcp://127.0.0.1:{ports.rpc}"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{ports.http}"
        assert processes.wait_for(lambda: has_block(url), PATIENCE_S)
        process.send_signal(signal.SIGTERM)
        _, lines = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(lines.splitlines()[-1])["event"] == "stopped"
    genesis = json.loads((data / "config" / "genesis.json").read_text())
    assert (genesis["chain_id"], genesis["validators"][0]["power"]) == ("mine", "5")
    account = genesis["app_state"]["currency"]["accounts"][0]
    assert account["address"] == identity.load(keys).address_text


CAMPAIGN = """
import asyncio, sys
from pathlib import Path
from tests.campaigns.harness import Testnet, run_campaign

async def main():
    with Testnet(Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.wait_for(asyncio.Event().wait(), 600)  # until it is asked to end

run_campaign(main())
"""


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["starting", "up"])
def test_a_campaign_that_is_asked_to_end_again_and_again_leaves_no_process(
    when: str, asked: signal.Signals, tmp_path: Path
) -> None:
    """Failure 37: before, a second Ctrl-C cut the command that stops the network."""
    made = make_network(tmp_path, validators=2, pace=PACE, ports=free_ports(2))
    in_background = asked == signal.SIGTERM  # where Ctrl-C is ignored
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if in_background else signal.default_int_handler)
    try:
        command = [sys.executable, "-c", CAMPAIGN, str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert process.stdout is not None
        if when == "up":
            assert process.stdout.readline() == "up\n"
        else:
            assert processes.wait_for(lambda: processes.running_pid(made, made.node(1)) is not None, 30)

        def ends() -> bool:
            process.send_signal(asked)
            return process.poll() is not None

        assert processes.wait_for(ends, 60)
        assert process.returncode
        assert [processes.running_pid(made, node) for node in made.nodes] == [None, None]
    finally:
        process.kill()
        process.communicate()
        processes.stop(made, made.nodes)


def has_block(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/status", timeout=2) as answer:
            return bool(json.loads(answer.read())["latest_block_height"])
    except (OSError, ValueError):
        return False


def test_exit_codes_tell_refusals_and_false_proofs_apart(single: Network) -> None:
    alice = single.folder / single.accounts["alice"]
    block = dchat(single, 1, "query", "block", "1")
    trusted = f"1:{block['block_id']['hash']}"
    told = dchat(single, 1, "query", "account", alice, "--prove", "--trust", trusted)
    assert told["verified"]["trusted"] == trusted.upper()
    wrong = run(single, 1, "query", "account", alice, "--prove", "--trust", f"1:{'00' * 32}")
    assert (wrong.returncode, "the proof does not hold" in wrong.stderr) == (5, True)
    bob = single.folder / single.accounts["bob"]
    for to, amount, codespace in ((bob, "9000000000", "currency"), (alice, "1", "tx")):
        refused = run(single, 1, "tx", "pay", "--from", alice, "--to", to, "--amount", amount)
        assert refused.returncode == 1, refused.stderr
        assert refused.stderr.startswith("dchat: ")
        assert json.loads(refused.stdout)["codespace"] == codespace
    huge = run(single, 1, "tx", "pay", "--from", alice, "--to", bob, "--amount", "9" * 30)
    assert (huge.returncode, "Invalid value for '--amount'" in huge.stderr) == (2, True), huge.stderr
    absent = run(single, 1, "query", "tx", "00" * 32)
    assert (absent.returncode, "is in no block" in absent.stderr) == (3, True)
    away = run(single, 1, "status", "--node", "127.0.0.1:1")
    assert (away.returncode, "did not answer" in away.stderr) == (4, True)


# ------------------------------------------------------------------------------ what each says to type next


def typed(text: str, program: str) -> list[str]:
    """The words behind a program's name in what was told."""
    (line,) = [line for line in text.splitlines() if program in line]
    return shlex.split(line.partition(program)[2].partition(" (of the sources)")[0])


def test_who_made_a_network_is_told_how_to_start_it_and_then_how_to_leave_it(tmp_path: Path) -> None:
    """What is told is typed."""
    folder = tmp_path / "a net"
    (base,) = lease_ports(1, in_a_row=PORTS_EACH)
    made = make("dchat testnet", folder, "--validators", "1", "--fast", "--base-port", str(base))
    assert made.exit_code == 0, made.output

    def control(words: list[str]) -> str:
        program = [sys.executable, "-m", "dchat.cli.local.testnet_control"]
        done = subprocess.run([*program, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    told = control([*typed(made.stderr, "scripts/testnet"), "--detach"])
    network = load_network(folder)
    try:
        http = f"http://{network.host}:{network.nodes[0].ports.http}"
        assert f"explorer {http}/explorer" in told
        assert "started validator1\n" in told
        again = control([*typed(made.stderr, "scripts/testnet"), "--detach"])
        assert "its validator runs already: nothing was started" in again
        assert f"explorer {http}/explorer" in again
        with urllib.request.urlopen(f"{http}/explorer", timeout=30) as page:
            assert page.status == 200
        (logs,) = [line for line in told.splitlines() if line.startswith("logs:")]
        log = processes.log_file(network, network.nodes[0])
        assert str(log) in logs
        assert str(log) in control(typed(logs.partition("  (")[0], "scripts/testnet"))
        (stop,) = [line for line in told.splitlines() if line.startswith("stop all:")]
        assert control(typed(stop, "scripts/testnet")) == "stopped validator1\n"
    finally:
        processes.stop(network, network.nodes)
    assert processes.running_pid(network, network.nodes[0]) is None
