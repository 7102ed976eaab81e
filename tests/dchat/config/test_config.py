"""Options: every name of the operator contract loads, precedence holds, and errors say what to write."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dchat.config import Config, ConfigError, load, look
from dchat.config.pages import pages
from dchat.config.sources import sections, short_environment_names
from tests.support.cli.guide import GUIDE

ROOT = Path(__file__).parents[3]

CONTRACT = """
[validator]
identity_file = "/etc/dchat/identity.json"
chain_id = "dchat-1"
data_dir = "/var/lib/dchat"
moniker = "validator-1"

[network]
listen_address = "/ip4/0.0.0.0/tcp/7070"
rpc_listen_address = "0.0.0.0:26657"
max_peers = 100
bootstrap_validators = [
  "/ip4/10.0.0.2/tcp/7070", "/dns4/v3.example.org/tcp/7070/p2p/2c4e4d1de6fbfc05d950fc7e6461be3007dd16e4",
  "2c4e4d1de6fbfc05d950fc7e6461be3007dd16e4@10.0.0.4:7070",
]

[consensus]
timeout_propose = 3000
timeout_prevote = 1000
timeout_precommit = 1000
timeout_commit = 5000
create_empty_blocks = true
max_block_size = 10485760

[staking]
initial_stake = 1000000
min_self_delegation = 100000
unbonding_time = 1209600

[slashing]
downtime_jail_duration = 600
double_sign_jail_duration = 86400
missed_blocks_window = 10000
min_signed_per_window = 0.5

[database]
backend = "leveldb"
path = "/var/lib/dchat/db"
cache_size = 512
write_buffer_size = 67108864
max_open_files = 1000
compaction_threads = 4

[observability]
metrics_port = 9090
health_port = 8080
tracing_enabled = true

[tracing]
enabled = true
exporter = "jaeger"
endpoint = "http://localhost:4317"
service_name = "dchat-validator"
sample_rate = 0.1

[backup]
enable = true
backend = "s3"
s3_bucket = "dchat-backups"
s3_region = "us-east-1"
encryption = true
encryption_key_file = "/etc/dchat/backup.key"
schedule = "0 2 * * *"
retention_days = 30
"""


def test_the_guides_file_loads_after_the_one_change_that_it_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, GUIDE)
    with pytest.raises(ConfigError) as told:
        load(path, environment={})
    assert str(told.value).splitlines() == [
        f'{path}: [database] backend: "rocksdb" is not built in; write backend = "leveldb"'
    ]
    config = load(write(tmp_path, GUIDE.replace("rocksdb", "leveldb")), environment={}).config
    assert (config.observability.metrics_host, config.observability.metrics_port) == ("127.0.0.1", 9_090)
    assert (config.http.host, config.observability.health_port) == ("127.0.0.1", 8_080)
    assert config.tracing.endpoint == "http://localhost:14268/api/traces"
    assert config.network.bootstrap_validators[1] == "/dns4/validator2.example.org/tcp/7070"
    assert not config.consensus.create_empty_blocks
    assert config.backup.encryption
    assert config.database.cache_size == 2_048


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[observability]\nmetrics_address = "h:1"\nmetrics_port = 9',
            "metrics_address and [observability] metrics_port say",
        ),
        ('[observability]\nhealth_address = "h:1"\n[http]\nhost = "x"', "health_address and [http] host say one thing"),
        ('[observability]\nmetrics_address = "nowhere"', "[observability] metrics_address: address 'nowhere': no port"),
        ('[tracing]\njaeger_endpoint = "a"\nendpoint = "b"', "jaeger_endpoint and [tracing] endpoint say one thing"),
    ],
)
def test_what_is_said_twice_or_wrongly_by_another_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(write(tmp_path, text), environment={})
    assert said in str(told.value)


def test_a_variable_that_nobody_reads_is_named_with_the_nearest() -> None:
    loaded = load(None, environment={"DCHAT_LISTEN_ADRESS": "h:1", "DCHAT_HOME": "/d", "DCHAT_MAX_PEERS": "5"})
    assert loaded.warnings == (
        "DCHAT_LISTEN_ADRESS is no variable of this program, and is not read; did you mean DCHAT_LISTEN_ADDRESS?",
    )


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "validator-config.toml"
    path.write_text(text)
    return path


def test_the_contracts_file_loads_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, CONTRACT)
    loaded = load(path, environment={})
    for section, table in tomllib.loads(CONTRACT).items():
        for key, value in table.items():
            got = getattr(getattr(loaded.config, section), key)
            assert got == (64 if key == "write_buffer_size" else value), (section, key)
    assert loaded.warnings == (
        f"{path}: [database] compaction_threads has no effect here",
        "[consensus] timeout_commit is 5000 ms and block_time 3000 ms: 3000 ms is used for both",
    )


CONTRACT_ENVIRONMENT = {
    "DCHAT_IDENTITY_FILE": ("validator", "identity_file", "id.json", "id.json"),
    "DCHAT_DATA_DIR": ("validator", "data_dir", "/d", "/d"),
    "DCHAT_LOG_LEVEL": ("log", "level", "WARN", "warning"),
    "DCHAT_LISTEN_ADDRESS": ("network", "listen_address", "0.0.0.0:1", "0.0.0.0:1"),
    "DCHAT_BOOTSTRAP_NODES": ("network", "bootstrap_validators", "a:1, b:2", ["a:1", "b:2"]),
    "DCHAT_MAX_PEERS": ("network", "max_peers", "7", 7),
    "DCHAT_CHAIN_ID": ("validator", "chain_id", "c", "c"),
    "DCHAT_API_HOST": ("http", "host", "0.0.0.0", "0.0.0.0"),
    "DCHAT_API_PORT": ("observability", "health_port", "81", 81),
    "DCHAT_TLS_CERT": ("tls", "cert_file", "c.pem", "c.pem"),
    "DCHAT_TLS_KEY": ("tls", "key_file", "k.pem", "k.pem"),
    "DCHAT_ENABLE_METRICS": ("observability", "metrics_enabled", "false", False),
    "DCHAT_RATE_LIMIT_ENABLED": ("rate_limit", "enabled", "0", False),
    "DCHAT_RATE_LIMIT_REQUESTS_PER_SECOND": ("rate_limit", "requests_per_second", "9", 9),
}


def test_short_environment_names_are_the_contracts() -> None:
    assert set(short_environment_names()) == set(CONTRACT_ENVIRONMENT)
    loaded = load(environment={name: case[2] for name, case in CONTRACT_ENVIRONMENT.items()})
    for section, key, _, want in CONTRACT_ENVIRONMENT.values():
        assert getattr(getattr(loaded.config, section), key) == want


@pytest.mark.parametrize(
    ("file", "environment", "flag", "want"),
    [
        (None, None, None, 100),
        (1, None, None, 1),
        (1, 2, None, 2),
        (1, 2, 3, 3),
        (None, 2, None, 2),
        (None, None, 3, 3),
    ],
)
def test_flags_beat_environment_beats_file_beats_default(
    tmp_path: Path, file: int | None, environment: int | None, flag: int | None, want: int
) -> None:
    path = write(tmp_path, f"[network]\nmax_peers = {file}\n") if file else None
    variables = {"DCHAT_NETWORK__MAX_PEERS": str(environment)} if environment else {}
    loaded = load(path, environment=variables, flags={"network.max_peers": flag})
    assert loaded.config.network.max_peers == want


def test_every_option_has_a_variable() -> None:
    for section, model in sections().items():
        for key, info in model.model_fields.items():
            default = info.get_default()
            text = ",".join(default) if isinstance(default, list) else str(default)
            loaded = load(environment={f"DCHAT_{section}__{key}".upper(): text, "DCHAT_TLS_KEY": ""})
            assert getattr(getattr(loaded.config, section), key) == default, (section, key)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[network]\nmax_peer = 3\n", "unknown key max_peer in [network]; did you mean max_peers?"),
        ("[consensus]\nmax_peers = 3\n", "unknown key max_peers in [consensus]; it belongs to [network]"),
        ("[concensus]\n", "unknown section [concensus]; did you mean consensus?"),
        ("network = 3\n", "network is a section: write [network]"),
        ("[network\n", "is not TOML"),
        ('[database]\nbackend = "rocksdb"\n', 'write backend = "leveldb"'),
        ('[database]\nbackend = "sqlite"\n', '"sqlite" is not a backend; allowed: leveldb, memory'),
        ("[network]\nmax_peers = 0\n", "[network] max_peers: 0 is too small; allowed: 1 to 1000"),
        ('[network]\nmax_peers = "many"\n', '[network] max_peers: "many" is no whole number; allowed: 1 to 1000'),
        ('[consensus]\nblock_time = "3 weeks"\n', '"3 weeks" is not a duration; allowed: 1500, "1500ms", "1.5s", "2m"'),
        ("[consensus]\nblock_time = -1\n", "[consensus] block_time: -1 is too small; allowed: 0 to 3600000 (mil"),
        ('[log]\nlevel = "loud"\n', '[log] level: "loud" is none of these; allowed: debug, info, warning, error'),
        ('[tls]\ncert_file = "c.pem"\n', "cert_file and key_file go together"),
        ('[grpc]\nclient_ca_file = "ca.pem"\n', "client_ca_file needs TLS"),
        ("[mempool]\nbytes_max = 1024\n", "tx_bytes_max is above bytes_max"),
        (
            '[hsm]\naws_region = "EU"\n',
            '"EU" has another form; allowed: at most 40 of a-z, 0-9 and -, like eu-central-1',
        ),
        ('[p2p]\npex = "maybe"\n', '[p2p] pex: "maybe" is neither true nor false; allowed: true, false'),
        ("[p2p]\nseeds = 3\n", '[p2p] seeds: 3 is no list; allowed: a list of texts, like ["a", "b"]'),
        ('[tracing]\nservice_name = ""\n', '"" is too short; allowed: a text of 1 to 100 characters'),
        ("[sql]\nconnection = 3\n", "[sql] connection: what was given is no text; allowed: a text in quotes"),
        ("[upgrade]\nskip_heights = [5, -5]\n", "[upgrade] skip_heights: allowed: heights, 1 and more"),
    ],
)
def test_an_error_says_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, text), environment={})
    assert said in str(raised.value)


ODD: list[Any] = [
    None, 7, -5, 10**30, 1.5, -1.5, float("nan"), float("inf"), "", "many", "1.0", "\u00b2", "1" * 5_000, "x" * 3_000,
    "9" * 400 + "d", True, [], ["a", 3], [1.5], {"a": 1}, datetime(2026, 1, 1), "\udcff", "a\x00b",
]  # fmt: skip
PYDANTICS = re.compile(
    r"[Ii]nput|valid (string|integer|list|bool)|[Uu]nable to|greater than|less than|pattern|invalid literal|Exceeds|"
    r"[Ss]hould|codec"
)


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20].encode("ascii", "replace").decode())
def test_whatever_options_are_given_errors_say_in_our_words_what_is_wrong(value: object) -> None:
    """Of all options at once: each is told of by itself."""
    names = [f"{section}.{key}" for section, model in sections().items() for key in model.model_fields]
    problems = look(None, environment={}, flags=dict.fromkeys(names, value)).problems
    assert bool(problems) == (value is not None)
    for problem in problems:
        assert not PYDANTICS.search(problem), problem
        assert "is nothing for this option" not in problem


def test_bytes_that_are_no_text_in_a_variable_are_refused() -> None:
    """As the system hands them on."""
    for name in ("DCHAT_CONSENSUS__BLOCK_TIME", "DCHAT_CHAIN_ID", "DCHAT_VALIDATOR__MONIKER"):
        (problem,) = look(None, environment={name: "a\udcff"}).problems
        assert problem.startswith(f"{name}: [")
        assert problem.endswith("what was given is not UTF-8")


def test_every_line_about_one_file_names_it_in_one_way(tmp_path: Path) -> None:
    path = write(
        tmp_path, "[network]\nmax_peer = 3\nmax_peers = 0\n[vaildator]\n[log]\nlevel = 7\n[backup]\nenable = 3\n"
    )
    problems = look(path, environment={}).problems
    assert len(problems) == 5
    assert all(problem.startswith(f"{path}: ") for problem in problems), problems


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[network]\nmax_peer = 3\n[vaildator]\n")
    with pytest.raises(ConfigError) as raised:
        load(path, environment={"DCHAT_NETWORK__LISTN_ADDRESS": "x"})
    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize(
    "line",
    [
        '[tracing]\nendpoint = "http://me:S3cretWord@h:4317"',
        '[tracing]\nendpoint = "http://:S3cretWord@h:4317"',
        '[tracing]\nendpoint = "me:S3cretWord@h:4317"',
        '[tracing]\nendpoint = "grpc://me:an S3cretWord/@x@h:4317/path"',
        '[tracing]\nendpoint = 7\n[sql]\nconnection = "mysql://me:S3cretWord@h/db"',
        '[node]\nproxy_app = "http://me:S3cretWord@h:1"',
        '[backup]\ns3_endpoint = "https://me:S3cretWord@h"',
        '[observability]\nmetrics_address = "me:S3cretWord@h"',
        '[state_sync]\ntrusted_nodes = [["http://me:S3cretWord@h"]]',
    ],
)
def test_no_error_says_who_a_url_is_for(tmp_path: Path, line: str) -> None:
    file = tmp_path / "validator-config.toml"
    file.write_text(line + "\n")
    with pytest.raises(ConfigError) as told:
        load(file, environment={})
    assert "S3cretWord" not in str(told.value)


def test_all_else_that_is_wrong_is_told_beside_what_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "validator-config.toml"
    file.write_text(
        '[p2p]\nmax_inbound_peers = "many"\nmax_inbound = 1\n[tls]\ncert_file = "a"\n[backups]\n[mempool]\nsize = -1\n'
    )
    with pytest.raises(ConfigError) as told:
        load(file, environment={"DCHAT_LOG__LEVEL": "loud"})
    for said in ("unknown key max_inbound", "[backups]", "max_inbound_peers", "[tls] cert_file", "DCHAT_LOG__LEVEL"):
        assert said in str(told.value), said


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml", environment={})
    with pytest.raises(ConfigError, match="an option file has at most"):
        load(write(tmp_path, "#" * 1_048_577), environment={})


@pytest.mark.parametrize(
    ("written", "want"), [("3000", 3_000), ('"3s"', 3_000), ('"1.5s"', 1_500), ('"250ms"', 250), ('"2m"', 120_000)]
)
def test_durations(tmp_path: Path, written: str, want: int) -> None:
    loaded = load(write(tmp_path, f"[consensus]\nblock_time = {written}\n"), environment={})
    assert loaded.config.consensus.block_time == want


def test_durations_of_days_are_seconds(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, '[staking]\nunbonding_time = "14d"\n'), environment={})
    assert loaded.config.staking.unbonding_time == 1_209_600


def test_the_example_file_names_every_option_and_loads(tmp_path: Path) -> None:
    example = ROOT / "validator-config.example.toml"
    tables = tomllib.loads(example.read_text())
    assert {name: set(table) for name, table in tables.items()} == {
        name: set(model.model_fields) for name, model in sections().items()
    }
    loaded = load(example, environment={})
    assert loaded.config == Config()
    assert [said for said in loaded.warnings if "no effect" in said] == []  # nobody chose anything
    for number, line in enumerate(example.read_text().splitlines()):
        if "=" in line and not line.startswith("#"):
            assert example.read_text().splitlines()[number - 1].startswith("#"), f"{line} has no comment"


@pytest.mark.parametrize("path", [path.relative_to(ROOT) for path in pages(ROOT)], ids=str)
def test_rendered_pages_are_fresh(path: Path) -> None:
    """Mend with `python -m dchat.config.pages`."""
    assert (ROOT / path).read_text() == pages(ROOT)[ROOT / path]
