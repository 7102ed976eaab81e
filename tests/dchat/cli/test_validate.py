"""`dchat validator --validate` looks at everything at once; each fault names its option or file."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consensus.documents.genesis import parse_genesis
from consensus.p2p.conn.address import parse_address
from dchat.cli.checks import looks
from dchat.cli.checks.findings import Findings
from dchat.cli.checks.peer_probe import Probed, ProbeFailed, probe
from dchat.cli.main import dchat
from dchat.config import Config, load
from dchat.config.models import NetworkSection
from dchat.devnet.leases import free_ports
from dchat.home.home import Home, load_genesis
from genesis.digest import genesis_digest
from tests.support.node.certificates import Authority
from tests.support.node.running import running_node


def call(*words: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in words], prog_name="dchat")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One that could start, at ports that are free."""
    root = tmp_path / "home"
    made = call("--home", root, "init", "--chain-id", "c", "--moniker", "a")
    assert made.exit_code == 0, made.output
    ports = free_ports(1)[0]
    home = Home.of(root)
    home.config_file.write_text(
        f'[validator]\nmoniker = "a"\n[network]\nlisten_address = "127.0.0.1:{ports.p2p}"\n'
        f'rpc_listen_address = "127.0.0.1:{ports.rpc}"\n[grpc]\nlisten_address = "127.0.0.1:{ports.grpc}"\n'
        f"[observability]\nhealth_port = {ports.http}\nmetrics_port = {ports.metrics}\n"
    )
    home.root.chmod(0o700)
    return home


def validated(home: Home, *more: object) -> Result:
    return call("--home", home.root, "validator", "--validate", *more)


def test_a_home_that_is_right(home: Home) -> None:
    told = validated(home)
    assert (told.exit_code, told.output.endswith("ok\n")) == (0, True), told.output


def test_every_fault_is_told_at_once_and_nothing_is_written(home: Home) -> None:
    home.genesis.write_text(home.genesis.read_text().replace('"balance": "', '"balance": "-', 1))
    home.sign_state.write_text("no")
    home.node_key.write_text("{}")
    home.identity.chmod(0o644)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = home.config_file.read_text()
        home.config_file.write_text(re.sub(r"metrics_port = \d+", f"metrics_port = {port}", text))
        before = sorted(home.root.rglob("*"))
        told = validated(home)
    assert told.exit_code == 74, told.output  # of the first fault: the record of signing
    for said in (
        "app_state.currency.accounts[0].balance",
        str(home.sign_state),
        str(home.node_key),
        f"warning: {home.identity}: others than its owner may use it, and it is secret; mend with: chmod 600",
    ):
        assert said in told.output, told.output
    assert sorted(home.root.rglob("*")) == before


FILES = ("identity", "node_key", "validator_key", "sign_state", "genesis")


@pytest.mark.parametrize("spoiled", [*((name,) for name in FILES), FILES], ids=" ".join)
def test_files_that_cannot_be_read_are_told_each_once_and_the_rest_beside_them(
    home: Home, spoiled: tuple[str, ...]
) -> None:
    paths = [Path(getattr(home, name)) for name in spoiled]
    for path in paths:
        path.unlink()
        path.mkdir()
    home.config_file.write_text(home.config_file.read_text() + '[backup]\nschedule = "never"\n[http]\nhost = "300.1"\n')
    told = validated(home)
    assert told.exit_code == 2, told.output
    lines = [line.removeprefix("dchat: ") for line in told.output.splitlines()]
    for path in paths:
        about = [line for line in lines if line.startswith(f"{path}: ")]
        assert about == [f"{path}: cannot be read: Is a directory; it belongs to the user that runs the node"]


def test_a_folder_that_this_user_may_not_enter(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tests as root may enter any: the system's answer is stood in for."""
    stat = Path.stat

    def refused(path: Path, **how: bool) -> os.stat_result:
        if path.parent == home.root / "config":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refused)
    home.sign_state.write_text("no")
    told = validated(home)
    for name in ("node_key.json", "priv_validator_key.json", "genesis.json"):
        assert f"{home.root / 'config' / name}: cannot be read: Permission denied" in told.output


def test_a_port_that_is_taken_is_told_with_its_option_and_whose_it_is(home: Home) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = home.config_file.read_text()
        home.config_file.write_text(re.sub(r"metrics_port = \d+", f"metrics_port = {port}", text))
        told = validated(home)
    assert told.exit_code == 2
    assert f"[observability] metrics_port: 127.0.0.1:{port} is taken by process {os.getpid()} (" in told.output


def test_an_address_of_another_machine(home: Home) -> None:
    text = home.config_file.read_text()
    home.config_file.write_text(re.sub(r'(\[grpc\]\nlisten_address = ")[^"]+', r"\g<1>192.0.2.1:26670", text))
    told = validated(home)
    assert (told.exit_code, "[grpc] listen_address: 192.0.2.1 is no address of this machine" in told.output) == (
        2,
        True,
    )


def test_options_that_are_the_chains_and_do_not_fit_it(home: Home) -> None:
    with home.config_file.open("a") as file:
        file.write("[staking]\nunbonding_time = 5\n")
    told = validated(home, "--stake", 5)
    assert "[staking] unbonding_time is 5; the chain begins with 1209600, and that counts" in told.output
    assert "--stake: 5 DCHAT is below what the chain began with as its least, 1000000 DCHAT" in told.output
    assert told.exit_code == 0


def test_a_key_that_signed_without_its_blocks_and_one_that_is_no_validators(home: Home) -> None:
    home.sign_state.write_text('{"height":"7","round":0,"step":3}')
    assert "this key has signed at height 7, and there are no blocks here" in validated(home).output
    other = Home.of(home.root.parent / "other")
    assert call("--home", other.root, "init", "--genesis", home.genesis).exit_code == 0
    found = Findings()
    looks.of_genesis(other, load(None, environment={}), parse_genesis(home.genesis.read_bytes()), found)
    assert any("this key is no validator's in the genesis" in text for text in found.warnings)


def test_what_lets_in_more_than_was_meant(home: Home) -> None:
    text = home.config_file.read_text().replace(
        '[grpc]\nlisten_address = "127.0.0.1', '[grpc]\nlisten_address = "0.0.0.0'
    )
    home.config_file.write_text(text + "[rate_limit]\nenabled = false\n")
    told = validated(home).output
    assert "[grpc] listen_address: 0.0.0.0 is open to others, without TLS" in told
    assert "[grpc] listen_address: 0.0.0.0 is open to others, and [rate_limit] enabled is off" in told
    assert "[http] host" not in told


def test_a_certificate_that_ends_soon(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Authority(home.root, "root")
    door = root.vouch("validator.example")
    with home.config_file.open("a") as file:
        file.write(f'[tls]\ncert_file = "{door.cert}"\nkey_file = "{door.key}"\n')
    told = validated(home)  # it holds for a day
    assert f"[tls] cert_file: {door.cert}: CN=validator.example expires on" in told.output
    assert told.exit_code == 0
    monkeypatch.setattr(looks, "EXPIRES_SOON_S", 3_600)
    assert "[tls]" not in validated(home).output


def test_who_signs_elsewhere_without_saying_who(tmp_path: Path) -> None:
    """Over TCP whoever says that it has the key is let in, and the right signer is kept out."""
    options = {"validator.priv_validator_laddr": "tcp://127.0.0.1:26659", "validator.priv_validator_pub_key": "ab" * 32}
    said = load(None, environment={}, flags=options).warnings
    assert any(text.startswith("[validator] priv_validator_signer_id is empty") for text in said)
    for more in (
        {"validator.priv_validator_signer_id": "ab" * 20},
        {"validator.priv_validator_laddr": f"unix://{tmp_path}/s"},
    ):
        assert not load(None, environment={}, flags=options | more).warnings


async def test_peers_are_asked_who_they_are(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        chain_id = running.network.chain_id
        at = f"127.0.0.1:{running.network.nodes[0].ports.p2p}"
        node_id = running.network.nodes[0].node_id
        answer = await probe(parse_address(f"{node_id}@{at}"), chain_id)
        assert (answer.id, answer.network) == (node_id, chain_id)
        assert answer.height > 0
        assert abs(time.time_ns() - answer.block_time_ns) < 60 * 10**9
        with pytest.raises(ProbeFailed):
            await probe(parse_address(f"{node_id}@127.0.0.1:{running.ports[1]}"), chain_id)  # HTTP
        with pytest.raises(ProbeFailed, match="Connection refused"):
            await probe(parse_address(f"{node_id}@127.0.0.1:{free_ports(1)[0].p2p}"), chain_id)
        other = "ab" * 20
        told = await asyncio.to_thread(_told, tmp_path, [f"{other}@{at}", at], chain_id)
        assert f"the node there is {node_id}: its key was changed, or the address is another's" in told[0]
        assert f"it names no id, so that anybody may answer there; write {node_id}@{at}" in told[1]
        told = await asyncio.to_thread(_told, tmp_path, [f"{node_id}@{at}"], "other-1")
        assert "turns this machine away" in told[0] or f"it is a node of the chain {chain_id!r}" in told[0]
        ours = genesis_digest(load_genesis(Home.of(running.network.home_of(running.network.nodes[0]))))
        assert answer.genesis_hash == ours
        assert await asyncio.to_thread(_told, tmp_path, [f"{node_id}@{at}"], chain_id, ours) == []
        changed = ours[:-1] + bytes([ours[-1] ^ 1])
        (line,) = await asyncio.to_thread(_told, tmp_path, [f"{node_id}@{at}"], chain_id, changed)
        assert f"it began {chain_id!r} with another genesis, whose hash is {ours.hex()}; this one's is" in line
        assert not running.failures


def _told(folder: Path, named: list[str], chain_id: str, genesis_hash: bytes = b"") -> list[str]:
    found = Findings()
    config = Config(network=NetworkSection(bootstrap_validators=named))
    looks.peers(Home.of(folder / "none"), config, chain_id, found, genesis_hash=genesis_hash)
    return [text for text in found.warnings if text.startswith("[network]")]


@pytest.mark.parametrize(
    ("age_s", "said"), [(-30, "clock is behind"), (3, ""), (600, "block is 600 s old by this machine's clock")]
)
def test_how_the_clock_stands_to_the_peers(age_s: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: now)
    found = Findings()
    answer = Probed("ab" * 20, "a", "c", "0.38.0", 5, now - age_s * 10**9)
    looks._tell_peers([("x", parse_address(f"{'ab' * 20}@10.0.0.1:1"))], [answer], "c", found)
    assert (len(found.warnings), said in "".join(found.warnings)) == (bool(said), True)


def test_a_home_that_a_process_holds(home: Home) -> None:
    import fcntl

    with home.pid_file.open("a+") as file:
        file.write("77\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        told = validated(home)
    assert "process 77 runs on this home already" in told.output
