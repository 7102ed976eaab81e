"""Where the values of a node's options come from: flags beat environment beats file beats default.

Every error names the place (file and key, variable, flag), what it got and what is allowed; an unknown key also the
nearest known one.
"""

from __future__ import annotations

import difflib
import os
import re
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from consensus.formats.units import MIB
from consensus.p2p.conn.address import parse_listen_address
from consensus.p2p.conn.errors import BadAddress
from dchat.config.models import Config
from dchat.config.refused import said_of
from dchat.config.schedule import next_after
from dchat.shown.text import without_userinfo

CONFIG_FILE = "validator-config.toml"
FLAGS = {  # of `dchat validator`, by the option that each sets
    "validator.identity_file": "--identity",
    "validator.chain_id": "--chain-id",
    "validator.data_dir": "--data-dir",
    "hsm.enable": "--hsm",
    "hsm.pkcs11_library": "--pkcs11-library",
    "hsm.pkcs11_slot": "--pkcs11-slot",
    "hsm.pkcs11_pin_file": "--pkcs11-pin-file",
    "hsm.kms_key_id": "--kms-key-id",
    "hsm.aws_region": "--aws-region",
    "node.proxy_app": "--proxy-app",
    "network.listen_address": "--listen",
    "network.rpc_listen_address": "--rpc-listen",
    "network.bootstrap_validators": "--bootstrap",
    "staking.initial_stake": "--stake",
    "database.pruning": "--pruning",
    "state_sync.enable": "--state-sync",
    "state_sync.trust": "--trust",
    "upgrade.name": "--upgrade-name",
    "upgrade.height": "--upgrade-height",
    "upgrade.binary": "--upgrade-binary",
    "upgrade.backup": "--upgrade-backup",
    "upgrade.skip_heights": "--skip-upgrade-height",
    "upgrade.halt_height": "--halt-height",
    "upgrade.halt_time": "--halt-time",
    "log.level": "--log-level",
    "log.json_lines": "--json-logs",
}
OTHER_NAMES: Final = {  # of the operators' guide: which options of ours each one means
    ("observability", "metrics_address"): (("observability", "metrics_host"), ("observability", "metrics_port")),
    ("observability", "health_address"): (("http", "host"), ("observability", "health_port")),
    ("tracing", "jaeger_endpoint"): (("tracing", "endpoint"),),
    ("tracing", "otlp_endpoint"): (("tracing", "endpoint"),),
    ("tracing", "zipkin_endpoint"): (("tracing", "endpoint"),),
}
NO_OPTIONS: Final = (  # variables that commands and scripts read
    "DCHAT_HOME", "DCHAT_NODE", "DCHAT_NODE_TLS_ROOT", "DCHAT_NODE_TLS_CERT", "DCHAT_NODE_TLS_KEY",
    "DCHAT_NODE_TLS_NAME", "DCHAT_TESTNET_HOME", "DCHAT_BACKUP_PASSPHRASE", "DCHAT_UPGRADE_SWAPPED", "DCHAT_FAULTS",
    "DCHAT_INTEROP_ROWS", "DCHAT_CACHE_DIR", "DCHAT_API_KEY",
)  # fmt: skip
FILE_BYTES_MAX = MIB  # an option file; more is something else


class ConfigError(Exception):
    """A value that cannot be used. The text is one line a problem, each naming its place."""


@dataclass(frozen=True)
class Loaded:
    """The options, where each came from, and what the operator should hear about them."""

    config: Config
    origins: Mapping[str, str]  # "section.key" -> the file, "DCHAT_MAX_PEERS", "--listen"
    warnings: tuple[str, ...] = ()
    file: Path | None = None
    problems: tuple[str, ...] = ()  # what cannot be used, a line each; in its place `config` has the default
    faulty: frozenset[str] = frozenset()  # "section.key" of what was given and cannot be used
    secrets: tuple[str, ...] = field(default=(), repr=False)  # of all that was given, also of what cannot be used

    def is_of_default(self, line: str) -> bool:
        """Whether a line about the options may be one only since one of them has its default in place of what was
        given."""
        return _is_of(line, self.faulty)

    @property
    def asks_to_stake(self) -> bool:
        """Whether this node is to make itself a validator: said where it is started, never by a file, which may have
        been generated or copied."""
        origin = self.origins.get("staking.initial_stake", "")
        return self.config.staking.initial_stake > 0 and origin.startswith(("--", "DCHAT_"))


@dataclass
class _Gathered:
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)  # of a file that cannot be read as TOML

    faulty: set[str] = field(default_factory=set)  # "section.key" of what is no text at all

    def put(self, section: str, key: str, value: object, origin: str) -> None:
        if isinstance(value, str) and not is_utf8(value):
            self.problems.append(f"{origin}: [{section}] {key}: what was given is not UTF-8")
            self.faulty.add(f"{section}.{key}")
            return
        self.values.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin


def is_utf8(text: str) -> bool:
    """Whether it has none of the bytes that a variable or an argument carries otherwise (os.fsdecode)."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def sections() -> dict[str, type[BaseModel]]:
    """Table name -> model, in the order of the file."""
    found: dict[str, type[BaseModel]] = {}
    for name, info in Config.model_fields.items():
        model = info.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        found[name] = model
    return found


def option_extra(section: str, key: str) -> dict[str, str]:
    """`env` and `scope` of one option."""
    extra = sections()[section].model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    return {name: str(value) for name, value in extra.items()}


def is_secret(section: str, key: str) -> bool:
    """Whether no text may say its value."""
    model = sections().get(section)
    return model is not None and key in model.model_fields and option_extra(section, key)["is_secret"] == str(True)


def short_environment_names() -> dict[str, tuple[str, str]]:
    """The contract's names: variable -> (section, key)."""
    return {
        option_extra(section, key)["env"]: (section, key)
        for section, model in sections().items()
        for key in model.model_fields
        if option_extra(section, key)["env"]
    }


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """The options of a node.

    file: TOML; None: no file. environment: os.environ unless given. flags: "section.key" -> value; None values are
    flags that were not given. Raises ConfigError with every problem found.
    """
    seen = look(file, environment=environment, flags=flags)
    if seen.problems:
        raise ConfigError("\n".join(seen.problems))
    return seen


def look(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """As `load`, of options of which some may be faulty: `problems` says all that is wrong, and the others hold."""
    gathered = _Gathered()
    variables = os.environ if environment is None else environment
    if file is not None:
        try:
            _read_file(file, gathered)
        except ConfigError as error:
            gathered.problems.append(str(error))
    _read_environment(variables, gathered)
    for name, value in (flags or {}).items():
        if value is not None:
            section, key = name.split(".")
            gathered.put(section, key, value, FLAGS.get(name, "a flag"))
    secrets = (*gathered.secrets, *_secrets_in(gathered.values))
    config, faulty = _usable(gathered)
    gathered.problems += [one for one in _contradictions(config) if not _is_of(one, faulty)]
    origins = {name: origin for name, origin in gathered.origins.items() if name not in faulty}
    said = [*_unknown_variables(variables), *_warnings(config, origins)]
    problems = tuple(without_userinfo(problem) for problem in gathered.problems)
    return Loaded(config, origins, tuple(said), file, problems, frozenset(faulty), secrets)


def _usable(gathered: _Gathered) -> tuple[Config, set[str]]:
    """The options that can be used, and the names of those that cannot, which are told."""
    faulty = set(gathered.faulty)
    while True:
        try:
            return Config.model_validate(gathered.values), faulty
        except ValidationError as error:
            gathered.problems += _explain(error, gathered.origins)
            before = len(faulty)
            for item in error.errors(include_url=False, include_context=False):
                section, *rest = map(str, item["loc"])
                table = gathered.values.get(section, {})
                names = [rest[0]] if rest and rest[0] in table else list(table)
                faulty.update(f"{section}.{key}" for key in names)
                gathered.values[section] = {key: value for key, value in table.items() if key not in names}
            if len(faulty) == before:
                return Config(), faulty.union(gathered.origins)


def _is_of(problem: str, faulty: Iterable[str]) -> bool:
    """Whether a contradiction may be one only since an option has its default in place of what was given."""
    names = [name.split(".") for name in faulty]
    words = re.findall(r"\w+", problem)
    return any(f"[{section}]" in problem and key in words for section, key in names)


def _secrets_in(values: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for section, table in values.items():
        for key, value in table.items():
            texts = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
            yield from texts if is_secret(section, key) else ()
            yield from passwords_in(texts)


def passwords_in(texts: Iterable[str]) -> Iterator[str]:
    """Of URLs, and of addresses like them, also where they are written wrongly: what follows any colon but a scheme's,
    up to the host."""
    for text in texts:
        before = text.rpartition("@")[0]
        yield from (before[found.end() :] for found in re.finditer(r":(?!//)", before))


def _read_file(file: Path, gathered: _Gathered) -> None:
    try:
        with file.open("rb") as opened:
            raw = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{file}: has more than {FILE_BYTES_MAX} bytes; an option file has at most {FILE_BYTES_MAX}")
    try:
        tables = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:  # also of a number with thousands of digits
        gathered.secrets += _quoted_in(raw.decode(errors="replace"))
        raise ConfigError(f"{file}: is not TOML: {error}") from None
    known = sections()
    others: list[tuple[str, str, object]] = []
    for section, table in tables.items():
        if section not in known:
            gathered.problems.append(f"{file}: unknown section [{section}]{_nearest(section, known)}")
        elif not isinstance(table, dict):
            gathered.problems.append(f"{file}: {section} is a section: write [{section}]")
        else:
            for key, value in table.items():
                if (section, key) in OTHER_NAMES:
                    others.append((section, key, value))
                elif key in known[section].model_fields:
                    gathered.put(section, key, value, str(file))
                else:
                    hint = _nearest(key, known[section].model_fields, everywhere=True)
                    gathered.problems.append(f"{file}: unknown key {key} in [{section}]{hint}")
    for section, key, value in others:
        _put_other(section, key, value, file, gathered)


def _quoted_in(text: str) -> list[str]:
    """The secrets of a file that is not TOML, as far as they can be seen: what stands behind their names, and passwords
    of URLs."""
    names = {key for section, model in sections().items() for key in model.model_fields if is_secret(section, key)}
    lines = (line.partition("=") for line in text.splitlines())
    found = [said for key, _, said in lines if key.strip().rpartition(".")[2] in names]
    whole = [said.strip().strip("\"'") for said in found]
    return [*whole, *passwords_in([*whole, *re.findall(r"[a-z]+://[^\s\"']+", text)])]


def _put_other(section: str, key: str, value: object, file: Path, gathered: _Gathered) -> None:
    """A key of the operators' guide that is called otherwise here. Beside ours it would say one thing twice."""
    meant = OTHER_NAMES[section, key]
    values = [value]
    if len(meant) == 2:  # an address, of which host and port are options of their own
        try:
            at = parse_listen_address(str(value))
        except BadAddress as error:
            gathered.problems.append(f"{file}: [{section}] {key}: {error}")
            return
        values = [at.host, at.port]
    for (other_section, other_key), one in zip(meant, values, strict=True):
        if f"{other_section}.{other_key}" in gathered.origins:
            gathered.problems.append(
                f"{file}: [{section}] {key} and [{other_section}] {other_key} say one thing: leave one of them out"
            )
        gathered.put(other_section, other_key, one, f"{file}: {key}")


def _read_environment(environment: Mapping[str, str], gathered: _Gathered) -> None:
    known = sections()
    for name, (section, key) in short_environment_names().items():
        if name in environment:
            gathered.put(section, key, environment[name], name)
    for name in sorted(environment):
        if not name.startswith("DCHAT_") or "__" not in name:
            continue
        section, _, key = name.removeprefix("DCHAT_").lower().partition("__")
        if section not in known:
            gathered.problems.append(f"{name}: unknown section {section}{_nearest(section, known)}")
        elif key not in known[section].model_fields:
            hint = _nearest(key, known[section].model_fields, everywhere=True)
            gathered.problems.append(f"{name}: unknown key {key} in [{section}]{hint}")
        else:
            gathered.put(section, key, environment[name], name)


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Named, and no more: a cluster sets variables like DCHAT_PORT of its own for a service that is called dchat."""
    known = [*short_environment_names(), *NO_OPTIONS]
    return [
        f"{name} is no variable of this program, and is not read{_nearest(name, known)}"
        for name in sorted(environment)
        if name.startswith("DCHAT_") and "__" not in name and name not in known
    ]


def _nearest(word: str, known: Mapping[str, object] | Sequence[str], *, everywhere: bool = False) -> str:
    """`; did you mean ...?`: of this section, else the same key of another one, else all that is known."""
    if everywhere:
        elsewhere = [section for section, model in sections().items() if word in model.model_fields]
        if elsewhere:
            return f"; it belongs to [{elsewhere[0]}]"
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f"; did you mean {matches[0]}?" if matches else ""


def _explain(error: ValidationError, origins: Mapping[str, str]) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        section, key = str(item["loc"][0]), str(item["loc"][1]) if len(item["loc"]) > 1 else ""
        origin = origins.get(f"{section}.{key}", "default")
        said = said_of(sections()[section], key, item, is_secret=is_secret(section, key))
        lines.append(f"{origin}: [{section}] {key}: {said}")
    return lines


def _contradictions(config: Config) -> list[str]:
    problems = []
    if bool(config.tls.cert_file) != bool(config.tls.key_file):
        problems.append("[tls] cert_file and key_file go together; one of them is empty")
    for section in ("grpc", "http", "rpc"):
        if getattr(config, section).client_ca_file and not config.tls.cert_file:
            problems.append(f"[{section}] client_ca_file needs TLS: set [tls] cert_file and key_file")
    if config.observability.metrics_tls and not config.tls.cert_file:
        problems.append("[observability] metrics_tls needs TLS: set [tls] cert_file and key_file")
    if config.observability.metrics_client_ca_file and not config.observability.metrics_tls:
        problems.append("[observability] metrics_client_ca_file needs metrics_tls = true")
    if config.mempool.tx_bytes_max > config.mempool.bytes_max:
        problems.append("[mempool] tx_bytes_max is above bytes_max: such a transaction would never fit")
    if config.mempool.tx_bytes_max > config.grpc.message_bytes_max:
        problems.append("[mempool] tx_bytes_max is above [grpc] message_bytes_max: it could not be handed in")
    database = config.database
    numbers = [name for name in ("blocks_kept", "versions_kept") if getattr(database, name) != -1]
    if database.pruning in ("nothing", "everything") and numbers:
        problems.append(
            f'[database] pruning is "{database.pruning}", and {" and ".join(numbers)} beside it would say something '
            'else: leave that out, or write pruning = "custom"'
        )
    problems += config.hsm.faults
    if config.hsm.enable and config.validator.priv_validator_laddr:
        problems.append(
            "[hsm] enable and [validator] priv_validator_laddr exclude each other: the key is here on a token, or "
            "behind a signer that connects"
        )
    return problems + _wrong_backup(config)


def _wrong_backup(config: Config) -> list[str]:
    """Of what is switched on."""
    options, problems = config.backup, []
    if not options.enable:
        return []
    place = "s3_bucket" if options.backend == "s3" else "folder"
    if not getattr(options, place):
        problems.append(f'[backup] is switched on with backend "{options.backend}", and {place} is empty')
    if options.encryption and not options.encryption_key_file:
        problems.append("[backup] encryption needs encryption_key_file: `dchat database backup-key` makes one")
    if config.database.backend == "memory":
        problems.append("[backup] is switched on, and [database] backend is memory: nothing is on disk")
    try:
        next_after(options.schedule, int(time.time()))
    except ValueError as error:
        problems.append(f"[backup] schedule: {error}")
    return problems


def _warnings(config: Config, origins: Mapping[str, str]) -> list[str]:
    """What is accepted but not done as it reads."""
    said = []
    for name, origin in origins.items():
        section, key = name.split(".")
        at_rest = getattr(getattr(config, section), key) == sections()[section].model_fields[key].get_default()
        if option_extra(section, key)["scope"] == "none" and not at_rest:  # a file that `init` wrote names all options
            said.append(f"{origin}: [{section}] {key} has no effect here")
    validator = config.validator
    if validator.priv_validator_laddr.startswith("tcp://") and not validator.priv_validator_signer_id:
        said.append(
            "[validator] priv_validator_signer_id is empty: over TCP whoever says that it has the key may connect, and "
            "keep the right signer out; `dchat signer show` tells the id"
        )
    consensus = config.consensus
    if consensus.create_empty_blocks and 0 < consensus.block_time < consensus.timeout_commit:
        said.append(
            f"[consensus] timeout_commit is {consensus.timeout_commit} ms and block_time {consensus.block_time} ms: "
            f"{consensus.block_time} ms is used for both"
        )
    if config.database.backend == "memory":
        said.append("[database] backend is memory: the chain is gone when this process ends")
    return said
