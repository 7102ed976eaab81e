"""What `--validate` lets through starts, and what it refuses leaves nothing behind (cosmos-omnibus#104)."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from consensus.documents.genesis import parse_genesis
from consensus.p2p.conn.node_key import NodeKey
from dchat.cli.local.home_commands import make_home
from dchat.cli.main import dchat
from dchat.config import Config, ConfigError, load
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_genesis, load_validator_key
from dchat.node.runtime import Node

ANY_PORTS = {
    "network.listen_address": "127.0.0.1:0", "grpc.listen_address": "127.0.0.1:0", "observability.health_port": 0,
    "observability.metrics_port": 0, "network.rpc_listen_address": "127.0.0.1:0",
    "consensus.block_time": 100, "validator.chain_id": "trial",
}  # fmt: skip
HUGE = 2**63 - 1

CASES: list[Any] = [
    pytest.param({"validator.chain_id": "bad id!"}, "no new chain is called 'bad id!'", id="a chain with a blank"),
    pytest.param({"validator.chain_id": "a/../../b"}, "allowed: 1 to 50 letters", id="a chain that is a path"),
    pytest.param({"validator.chain_id": "c" * 50}, "", id="the longest name of a chain"),
    pytest.param({"validator.chain_id": "Zürich"}, "no new chain", id="a chain whose name is not plain"),
    pytest.param({"validator.moniker": "Zürich"}, "moniker", id="a moniker that peers refuse"),
    pytest.param({"validator.moniker": "a\tb"}, "moniker", id="a moniker with a control character"),
    pytest.param({"validator.moniker": "   "}, "moniker", id="a blank moniker"),
    pytest.param({"validator.moniker": 'say "hi" \\'}, "", id="a moniker with quotes"),
    pytest.param({"validator.moniker": "m" * 70}, "", id="the longest moniker"),
    pytest.param({"validator.moniker": "m" * 71}, "moniker", id="a longer moniker"),
    pytest.param({"staking.initial_stake": 0}, "initial_stake", id="a chain of no stake"),
    pytest.param({"staking.initial_stake": 1}, "", id="the least stake"),
    pytest.param({"staking.initial_stake": 4_000_000_000_000}, "", id="the most stake"),
    pytest.param({"staking.initial_stake": HUGE}, "initial_stake", id="more stake than fits"),
    pytest.param({"staking.initial_stake": 5, "staking.min_self_delegation": 10}, "", id="less than the minimum"),
    pytest.param({"staking.min_self_delegation": HUGE}, "min_self_delegation", id="a minimum that does not fit"),
    pytest.param({"staking.unbonding_time": 0}, "", id="no unbonding time"),
    pytest.param({"staking.unbonding_time": HUGE}, "unbonding", id="unbonding for ever"),
    pytest.param({"slashing.downtime_jail_duration": HUGE}, "jail", id="jail for ever"),
    pytest.param({"slashing.double_sign_jail_duration": 0}, "", id="no jail"),
    pytest.param({"slashing.missed_blocks_window": 1}, "", id="a window of one block"),
    pytest.param({"slashing.missed_blocks_window": HUGE}, "window", id="a window without end"),
    pytest.param({"slashing.min_signed_per_window": 0}, "", id="nothing must be signed"),
    pytest.param({"slashing.min_signed_per_window": 1}, "", id="everything must be signed"),
    pytest.param({"consensus.max_block_size": 65_536}, "", id="the smallest blocks"),
    pytest.param({"consensus.max_block_size": 104_857_600}, "", id="the largest blocks"),
    pytest.param({"network.listen_address": "foo"}, r"\[network\]", id="no address"),
    pytest.param({"network.listen_address": "127.0.0.1:99999"}, "port", id="no port"),
    pytest.param({"network.bootstrap_validators": ["x@h:1"]}, "node id", id="a peer without a good id"),
    pytest.param({"p2p.unconditional_peer_ids": ["x"]}, "node id", id="no node id"),
    pytest.param({"p2p.seeds": ["nowhere"]}, "seeds", id="a seed that is no address"),
    pytest.param({"p2p.external_address": "a b:1"}, "host", id="an address for others that is none"),
    pytest.param({"grpc.listen_address": "localhost"}, r"\[grpc\]", id="gRPC without a port"),
    pytest.param({"http.host": "a b"}, r"\[http\]", id="HTTP on no host"),
    pytest.param({"grpc.listen_address": "127.0.0.1:41", "observability.health_port": 41}, "port 41", id="one port"),
    pytest.param({"network.rpc_listen_address": "localhost"}, "rpc_listen_address", id="JSON-RPC without a port"),
    pytest.param(
        {"network.rpc_listen_address": "tcp://127.0.0.1:41", "observability.health_port": 41},
        "port 41",
        id="JSON-RPC at another's port",
    ),
    pytest.param(
        {"network.listen_address": "0.0.0.0:41", "grpc.listen_address": "localhost:41"},
        "port 41",
        id="one port, and any address",
    ),
    pytest.param({"observability.health_port": 41, "observability.metrics_port": 41}, "port 41", id="metrics' port"),
    pytest.param({"observability.health_port": 0, "observability.metrics_port": 0}, "", id="any ports"),
    pytest.param({"tls.cert_file": "c.pem", "tls.key_file": "k.pem"}, r"\[tls\]", id="TLS without files"),
    pytest.param(
        {"tls.cert_file": "c.pem", "tls.key_file": "k.pem", "grpc.client_ca_file": "a-file"},
        r"client_ca_file: .*a-file holds no certificates",
        id="clients' certificates that are none",
    ),
    pytest.param({"validator.data_dir": "a-file"}, "data_dir", id="a file in the folder's place"),
    pytest.param({"database.path": "a-file"}, "path", id="the same for the databases"),
    pytest.param({"validator.chain_id": "c" * 50}, "", id="the longest chain id"),
    pytest.param({"validator.chain_id": "c" * 51}, "chain_id", id="a longer chain id"),
    pytest.param({"mempool.size": 1, "mempool.seen_max": 1, "mempool.per_sender": 1}, "", id="the smallest mempool"),
]


async def _make(root: Path, flags: dict[str, Any]) -> Config:
    config = load(environment={}, flags=flags).config
    await asyncio.to_thread(make_home, root, config, chain_id=config.validator.chain_id)
    return config


async def _starts(root: Path, config: Config) -> None:
    home = Home.of(root, config)
    node = await Node.open(
        home,
        config,
        load_genesis(home),
        node_key=NodeKey.load(home.node_key),
        validator_key=load_validator_key(home),
        fatal=lambda code, line: pytest.fail(line),
    )
    try:
        await node.start()
    finally:
        await node.stop()


@pytest.mark.parametrize(("options", "refused"), CASES)
async def test_what_is_let_through_starts_and_what_is_refused_leaves_nothing(
    tmp_path: Path, options: dict[str, Any], refused: str
) -> None:
    (tmp_path / "a-file").touch()
    root = tmp_path / "home"
    flags = ANY_PORTS | options
    for key in ("validator.data_dir", "database.path", "grpc.client_ca_file"):
        if flags.get(key) == "a-file":
            flags[key] = str(tmp_path / "a-file")
    if refused:
        with pytest.raises((ConfigError, HomeError), match=refused):
            await _make(root, flags)
        assert not root.exists()
    else:
        await _starts(root, await _make(root, flags))


@pytest.mark.parametrize("words", [["--stake", "0"], ["--listen", "foo"]])
def test_the_command_refuses_before_it_writes(tmp_path: Path, words: list[str]) -> None:
    root = tmp_path / "home"
    for check in (["--validate"], ["--dry-run"], []):
        done = CliRunner().invoke(dchat, ["--home", str(root), "validator", "--chain-id", "c", *words, *check])
        assert (done.exit_code, root.exists()) == (2, False), done.output


def test_init_refuses_a_moniker_that_peers_would_refuse(tmp_path: Path) -> None:
    root = tmp_path / "home"
    done = CliRunner().invoke(dchat, ["--home", str(root), "init", "--moniker", "Zürich"])
    assert (done.exit_code, root.exists()) == (2, False), done.output
    assert "moniker" in done.output


def test_init_writes_any_moniker_as_toml(tmp_path: Path) -> None:
    root = tmp_path / "home"
    done = CliRunner().invoke(dchat, ["--home", str(root), "init", "--moniker", 'a"\\b'])
    assert done.exit_code == 0, done.output
    assert load(root / "validator-config.toml", environment={}).config.validator.moniker == 'a"\\b'


def test_a_genesis_of_others_that_no_start_accepts_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "home"
    made = CliRunner().invoke(dchat, ["--home", str(root), "init", "--chain-id", "c"])
    assert made.exit_code == 0, made.output
    text = (root / "config" / "genesis.json").read_text()
    assert parse_genesis(text.encode()).chain_id == "c"
    broken = tmp_path / "genesis.json"
    broken.write_text(text.replace('"balance": "', '"balance": "-', 1))
    assert broken.read_text() != text
    joining = tmp_path / "joining"
    done = CliRunner().invoke(
        dchat, ["--home", str(joining), "validator", "--genesis-file", str(broken), "--bootstrap", f"{'a' * 40}@h:1"]
    )
    assert (done.exit_code, joining.exists()) == (2, False), done.output


@pytest.mark.parametrize(
    ("what", "host", "option"),
    [
        ("peers", "127.0.0.1", "[network] listen_address"),
        ("gRPC", "127.0.0.1", "[grpc] listen_address"),
        ("HTTP", "127.0.0.1", "[observability] health_port"),
        ("metrics", "127.0.0.1", "[observability] metrics_port"),
        ("JSON-RPC", "127.0.0.1", "[network] rpc_listen_address"),
        ("peers", "192.0.2.1", "[network] listen_address"),
    ],
)
def test_an_address_that_cannot_be_listened_at_is_one_line_and_an_options_exit_code(
    what: str, host: str, option: str, tmp_path: Path
) -> None:
    """Failure 34: before, a traceback for one port, a library's line for another, and the code of a failure."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        at = dict.fromkeys(("peers", "gRPC", "HTTP", "metrics", "JSON-RPC"), ("127.0.0.1", 0)) | {what: (host, port)}
        options = tmp_path / "options.toml"
        options.write_text(
            f'[network]\nlisten_address = "{at["peers"][0]}:{at["peers"][1]}"\n'
            f'rpc_listen_address = "{at["JSON-RPC"][0]}:{at["JSON-RPC"][1]}"\n'
            f'[grpc]\nlisten_address = "{at["gRPC"][0]}:{at["gRPC"][1]}"\n[http]\nhost = "{at["HTTP"][0]}"\n'
            f'[observability]\nhealth_port = {at["HTTP"][1]}\nmetrics_host = "{at["metrics"][0]}"\n'
            f'metrics_port = {at["metrics"][1]}\n[log]\nlevel = "error"\n'
        )
        home = ["--home", tmp_path / "home", "--config", options, "--chain-id", "mine"]
        command = [sys.executable, "-m", "dchat", "validator", *map(str, home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    why = "the port is in use" if host == "127.0.0.1" else "this machine has no such address"
    assert done.stderr.startswith(f"dchat: cannot listen for {what} at {host}:{port}: {why}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert option in done.stderr
