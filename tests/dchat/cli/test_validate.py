"""`dchat validator --validate` looks at everything at once; each fault names its option or file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import subprocess
import sys
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
from dchat.doors.certificates import PEM_BYTES_MAX, Certificates
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


def test_unknown_keys_bad_values_files_and_ports_are_told_together(home: Home) -> None:
    """Mended one by one, each would have been a start more."""
    (home.root / "k.pem").write_text("no key")
    home.node_key.write_text("{}")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = re.sub(r"metrics_port = \d+", f"metrics_port = {port}", home.config_file.read_text())
        text = text.replace("[grpc]", '[grpc]\nmessage_bytes_max = "many"').replace(
            "[validator]", "[validator]\nmonicker = 1"
        )
        text += '[tls]\ncert_file = "c.pem"\nkey_file = "k.pem"\n[http]\nhost = "a b"\n[concensus]\n'
        home.config_file.write_text(text)
        told = validated(home)
    assert told.exit_code == 2, told.output
    for said in (
        "unknown key monicker in [validator]; did you mean moniker?",
        "unknown section [concensus]",
        "[grpc] message_bytes_max: ",
        str(home.node_key),
        f"[tls] cert_file: {home.root / 'c.pem'} is missing",
        f"[tls] key_file: {home.root / 'k.pem'} holds no private key",
        "[http] host: ",
        f"[observability] metrics_port: 127.0.0.1:{port} is taken",
    ):
        assert told.output.count(said) == 1, (said, told.output)


def test_files_of_tls_are_read_to_a_limit(home: Home) -> None:
    """A certificate is the start of the file, and what stands behind it is read by nobody, however much it is."""
    files = Authority(home.root / "root", "root").vouch("a")  # for a day: of what was read it is said when it expires
    large = files.cert.read_bytes() + b"a" * PEM_BYTES_MAX
    for name in ("c.pem", "ca.pem"):
        (home.root / name).write_bytes(large)
    ask = 'client_ca_file = "ca.pem"\n'
    text = home.config_file.read_text().replace("[grpc]\n", f"[grpc]\n{ask}")
    tls = f'[http]\n{ask}[tls]\ncert_file = "c.pem"\nkey_file = "{files.key}"\n'
    home.config_file.write_text(text + tls)
    told = validated(home)
    for option, name in (
        ("[tls] cert_file", "c.pem"), ("[http] client_ca_file", "ca.pem"), ("[grpc] client_ca_file", "ca.pem"),
    ):  # fmt: skip
        said = f"{option}: {home.root / name} has more than {PEM_BYTES_MAX} bytes"
        assert told.output.count(said) == 1, told.output
    assert "expires on" not in told.output
    with pytest.raises(ValueError, match="has more than"):
        Certificates(home.root / "c.pem", files.key)


def test_wrong_tls_and_addresses_keep_nothing_else_from_being_told(home: Home) -> None:
    """Ports that are taken, doors that are open to others, peers that do not answer, and the genesis."""
    home.genesis.write_text(home.genesis.read_text().replace('"balance": "', '"balance": "-', 1))
    gone = f"127.0.0.1:{free_ports(1)[0].p2p}"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = re.sub(r"metrics_port = \d+", f"metrics_port = {port}", home.config_file.read_text())
        text = re.sub(r'(\[grpc\]\nlisten_address = ")[^"]+', rf"\g<1>0.0.0.0:{port}", text)
        text = re.sub(r'(\[network\]\nlisten_address = )"[^"]+"', r'\g<1>"127.0.0.1:99999"', text)
        text = text.replace("[network]", f'[network]\nbootstrap_validators = ["{"ab" * 20}@{gone}", "no@where:1"]')
        text += '[p2p]\nseeds = ["nowhere"]\nexternal_address = "a b:1"\n[rate_limit]\nenabled = false\n'
        home.config_file.write_text(text + '[tls]\ncert_file = "c.pem"\nkey_file = "k.pem"\n')
        told = validated(home)
    assert told.exit_code == 2
    for said in (
        f"[tls] cert_file: {home.root / 'c.pem'} is missing: put the certificate there, in PEM, or empty",
        f"[tls] key_file: {home.root / 'k.pem'} is missing: put the private key there, in PEM, or empty",
        "[network] listen_address: address '127.0.0.1:99999': port '99999' is not 0 to 65535",
        "[network] bootstrap_validators: address 'no@where:1': id 'no' is not a node id",
        "[p2p] seeds: address 'nowhere': no port",
        "[p2p] external_address: address 'a b:1': host 'a b' is neither",
        f"ports: [grpc] listen_address and [observability] metrics_port are both at port {port}",
        f"[observability] metrics_port: 127.0.0.1:{port} is taken by",
        "[grpc] listen_address: 0.0.0.0 is open to others, and [rate_limit] enabled is off",
        f"[network] bootstrap_validators: {'ab' * 20}@{gone}: ",
        "app_state.currency.accounts[0].balance",
    ):
        assert told.output.count(said) == 1, (said, told.output)


def test_a_key_that_others_may_use_is_told_once(home: Home) -> None:
    for path in (home.validator_key, home.node_key):
        path.chmod(0o644)
    told = validated(home)
    assert told.exit_code == 2
    for path, began in ((home.validator_key, "dchat: "), (home.node_key, "warning: ")):
        (line,) = [line for line in told.output.splitlines() if f"{path}: " in line]
        assert line.removeprefix(began).startswith(f"{path}: others than its owner may use it"), told.output


def test_a_dry_run_names_the_doors_that_would_be_opened_and_no_others(home: Home) -> None:
    """As the options say them."""
    config = load(home.config_file, environment={}).config
    told = call("--home", home.root, "validator", "--dry-run").output
    assert f"would open JSON-RPC on {config.network.rpc_listen_address}\n" in told
    assert f"would open gRPC on {config.grpc.listen_address}\n" in told
    text = home.config_file.read_text().replace("[grpc]", "[grpc]\nenabled = false")
    text = text.replace("[observability]", "[observability]\nmetrics_enabled = false")
    home.config_file.write_text(re.sub(r'rpc_listen_address = "[^"]+"', 'rpc_listen_address = ""', text))
    told = call("--home", home.root, "validator", "--dry-run").output
    assert [line.partition(" on ")[0] for line in told.splitlines() if " on " in line] == [
        "would listen for peers", "would open HTTP"
    ]  # fmt: skip


def test_a_home_without_a_genesis_says_where_one_comes_from(tmp_path: Path) -> None:
    root = tmp_path / "home"
    told = call("--home", root, "validator", "--validate")
    about = [line for line in told.output.splitlines() if "genesis" in line or "chain" in line]
    assert (told.exit_code, len(about)) == (2, 1), told.output
    assert "bring the chain's by `dchat genesis install FILE`, or begin a chain of your own by `dchat init" in about[0]
    assert call("--home", root, "init", "--chain-id", "c").exit_code == 0
    assert "genesis.json is missing" not in call("--home", root, "validator", "--validate").output


def test_of_an_option_that_cannot_be_used_the_default_is_not_told_of(home: Home) -> None:
    """Without it, it would be a key without its certificate."""
    with home.config_file.open("a") as file:
        file.write('[tls]\ncert_file = 7\nkey_file = "k.pem"\n')
    told = validated(home)
    assert told.exit_code == 2
    (line,) = [line for line in told.output.splitlines() if "[tls]" in line]
    assert "[tls] cert_file: 7 is no text; allowed: a text in quotes" in line


def test_a_key_that_is_another_certificates(home: Home) -> None:
    authority = Authority(home.root, "root")
    first, second = authority.vouch("a.example"), authority.vouch("b.example")
    with home.config_file.open("a") as file:
        file.write(f'[tls]\ncert_file = "{first.cert}"\nkey_file = "{second.key}"\n')
    told = validated(home)
    assert told.exit_code == 2
    assert f"[tls] cert_file, key_file: {first.cert} and {second.key} are no certificate with its key" in told.output


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


@pytest.mark.parametrize(
    ("wanted", "there", "elsewhere"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", "127.0.0.53", id="its own address"),
        pytest.param("127.0.0.1", "0.0.0.0", "", id="any of IPv4"),
        pytest.param("127.0.0.1", "::", "", id="any of IPv6, which takes IPv4 too"),
        pytest.param("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.53", id="IPv4 inside IPv6"),
        pytest.param("localhost", "127.0.0.1", "127.0.0.53", id="by a name"),
        pytest.param("[::1]", "::1", "127.0.0.1", id="IPv6"),
        pytest.param("0.0.0.0", "127.0.0.53", "::1", id="wanted at any"),
    ],
)
def test_a_port_is_held_by_who_listens_on_that_address(home: Home, wanted: str, there: str, elsewhere: str) -> None:
    """Others have the same number elsewhere, and are not in the way."""
    with contextlib.ExitStack() as opened:
        port = 0
        others: dict[str, subprocess.Popen[str]] = {}
        for address in filter(None, (there, elsewhere)):
            others[address] = opened.enter_context(listens(address, port))
            pipe = others[address].stdout
            assert pipe is not None
            port = int(pipe.readline())
        text = home.config_file.read_text()
        home.config_file.write_text(re.sub(r'(\[grpc\]\nlisten_address = ")[^"]+', rf"\g<1>{wanted}:{port}", text))
        told = validated(home)
        for other in others.values():
            other.kill()
    (line,) = [line for line in told.output.splitlines() if "is taken" in line]
    by = f"{wanted}:{port} is taken by process {others[there].pid} ("
    assert f"[grpc] listen_address: {by}" in line
    shown, _, rest = line.partition(by)[2].partition("): ")
    assert shown.startswith("python")
    assert (len(shown) <= 48, shown.endswith("..."), rest) == (
        True, True, "stop that program, or choose another port"
    )  # fmt: skip


def listens(address: str, port: int) -> subprocess.Popen[str]:
    """A process that says which port it has, and has it until it is killed."""
    family = "AF_INET6" if ":" in address else "AF_INET"
    code = (
        f"import socket, sys, time; s = socket.socket(socket.{family}); s.bind(({address!r}, {port})); s.listen()\n"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    program = Path(sys.executable).with_name("python")
    return subprocess.Popen(
        [program, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip


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
