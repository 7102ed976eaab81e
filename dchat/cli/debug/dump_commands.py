"""`dchat debug dump` and `dchat debug bundle`: what a node is doing, for whoever looks into a fault (docs/debug.md)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from consensus.system.files import write_new_secret
from dchat.cli.commands.status_commands import get_json, get_text, own_url
from dchat.cli.terminal.ask import tls_options
from dchat.cli.terminal.base import Command, Exit, Refusal, echo, own_root, seen_config, show_json
from dchat.cli.terminal.times import Length
from dchat.config import Loaded
from dchat.dump.asking import NOBODY, NotTold, running_pid, why_stopped
from dchat.dump.gathered import as_text, from_door, of_home, versions_json
from dchat.dump.hiding import Secrets
from dchat.dump.packed import MEMBER_BYTES_MAX, pack, tail_of, why_lines
from dchat.home.home import Home

LOG_NAME = "validator.log"  # of a test network's node
PROFILE_S_MAX = 120


@click.command("dump", cls=Command)
@click.option("--url", help="Another node's HTTP door: what it says there, and nothing of a home. Default: this home.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A new file, mode 0600.")
@tls_options
def dump(url: str | None, output: Path | None) -> None:
    """Show what a node is doing, as one JSON document: consensus, peers, tasks, threads, metrics, options, versions.

    Of this home, whether its node runs or not; what cannot be had is in `not_told`, with why. No key is in it, and no
    secret option. Exit code 0 also where no node runs; 4: --url does not answer.
    """
    if url is None:
        home, loaded = _own()
        told, lacking = gathered(home, loaded)
        hide = Secrets(home, loaded.config, loaded.secrets).hide
    else:
        told, lacking = from_door(lambda path: _ask(url.rstrip("/"), path))
        if not told:
            raise Refusal(next(iter(lacking.values())), Exit.UNREACHABLE)
        hide = _as_it_is
    text = hide(as_text({"made": int(time.time()), **told, "not_told": lacking}))
    if output is None:
        echo(text.rstrip("\n"))
        return
    _written(output, lambda: write_new_secret(output, text))
    lacking = {name: hide(why) for name, why in lacking.items()}
    show_json({"file": str(output), "bytes": output.stat().st_size, "told": list(told), "not_told": lacking})


@click.command("bundle", cls=Command)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A new file, like node.tar.gz."
)
@click.option("--profile", type=Length(), default="0s", show_default=True, help="Look where threads are for so long.")
@click.option(
    "--log-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The node's log, whose end goes in. Default: validator.log in the home, where it is.",
)  # fmt: skip
def bundle(output: Path, profile: int, log_file: Path | None) -> None:
    """Write all of `dump`, the log's end, the records of `dchat why` and what the files take into one .tar.gz.

    Mode 0600, never over another file, 32 MiB before it is packed at most. Keys and secret options are not in it, and
    wherever one of this home's secrets stands in a text it is taken out. Look through it before you send it: the log
    and the options name addresses of your machines.
    """
    if profile > PROFILE_S_MAX:
        raise Refusal(f"--profile {profile}s; allowed: up to {PROFILE_S_MAX}s", Exit.USAGE)
    home, loaded = _own()
    told, lacking = gathered(home, loaded, profile_s=profile)
    members = {f"{name}.{'txt' if isinstance(value, str) else 'json'}": value for name, value in told.items()}
    log = log_file or home.root / LOG_NAME
    reads: dict[str, Callable[[], str]] = {
        "log.txt": lambda: tail_of(log, MEMBER_BYTES_MAX),
        "why.jsonl": lambda: why_lines(home.why),
    }
    for name, read in reads.items():
        try:
            members[name] = read()
        except OSError as error:
            lacking[name] = f"{error.filename or log}: {error.strerror}"
    if "log.txt" in lacking and log_file is None:
        lacking["log.txt"] += "; --log-file names it, as of `journalctl -u dchat-validator > FILE`"
    names: list[str] = []
    hide = Secrets(home, loaded.config, loaded.secrets).hide
    _written(output, lambda: names.extend(pack(output, members, hide, lacking)))
    lacking = {name: hide(why) for name, why in lacking.items()}
    show_json({"file": str(output), "bytes": output.stat().st_size, "members": names, "not_told": lacking})


def _own() -> tuple[Home, Loaded]:
    """This home, whatever is wrong with its options: of a faulty one the default is taken."""
    root = own_root()
    loaded = seen_config(root)
    return Home.of(root, loaded.config), loaded


def gathered(home: Home, loaded: Loaded, *, profile_s: float = 0.0) -> tuple[dict[str, Any], dict[str, str]]:
    config = loaded.config
    url, pid = own_url(config), running_pid(home)
    stopped = ""

    def ask(path: str) -> Any:
        nonlocal stopped
        if pid is None:  # whoever has its port now is another node
            raise NotTold(NOBODY)
        if stopped and (stopped := why_stopped(pid)):  # nobody waits at each door for who answers at none
            raise NotTold(stopped)
        try:
            return _ask(url, path)
        except NotTold:
            stopped = why_stopped(pid)
            raise

    seen, lacking = from_door(ask)
    told, more = of_home(home, config, profile_s=profile_s)
    if loaded.problems:  # what this command took in their place is not what the node has
        del told["config"]
        more["config"] = "\n".join(loaded.problems)
    return {"versions": versions_json(), **told, **seen}, {**lacking, **more}


def _ask(url: str, path: str) -> Any:
    try:
        return get_text(f"{url}{path}") if path == "/metrics" else get_json(f"{url}{path}")[1]
    except Refusal as error:
        raise NotTold(error.format_message()) from None


def _as_it_is(text: str) -> str:
    return text


def _written(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except FileExistsError:
        raise Refusal(f"{path} is there already: it is never written over, name another file", Exit.USAGE) from None
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror or error}") from None
