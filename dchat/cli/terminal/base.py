"""What every command shares: --home, --version, plain errors and documented exit codes.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage, option or file; 3 what was asked for is not there; 70 consensus
failed; 4 the node could not be reached; 5 a proof does not hold; 6 the chain wants another build; 74 this node's files
are not what it wrote.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from crypto.keys import ED25519
from crypto.mldsa import ML_DSA_65
from dchat.audit.trail import FILE_NAME, AuditError, Trail
from dchat.config import CONFIG_FILE, Config, Loaded, look
from dchat.home.home import DEFAULT_HOME, Home, default_root
from dchat.home.version import build_version
from dchat.shown.text import safe, short_hex, without_userinfo

HOME_KEY = "dchat.home"
named: dict[str, str] = {}  # what this command line says in words, by the id that answers are about, in hex


def echo(text: str = "", *, err: bool = False) -> None:
    """Say it. The one way in which a command says anything: most of what it tells comes from other people."""
    click.echo(safe(text), err=err)


def hex_text(data: bytes) -> str:
    """For a command that tells lines: long ones whole only where it is piped."""
    return short_hex(data.hex()) if sys.stdout.isatty() else data.hex()


def echo_progress(text: str = "") -> None:
    """Over what was said so before, on standard error. Empty: it is over."""
    click.echo("\r" + (f"{safe(text)}   " if text else " " * 40 + "\r"), err=True, nl=False)


class InputFile(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """A file to read. A fault names the option, the file and the reason. It may be a pipe, so it is not opened here."""

    name = "FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(str(value))
        if reason := unreadable(path):
            self.fail(reason, param, ctx)
        return path


def unreadable(path: Path) -> str:
    """Why a file cannot be read; empty: it can."""
    try:
        path.stat()
        reason = os.strerror(errno.EISDIR) if path.is_dir() else ""
        reason = reason or ("" if os.access(path, os.R_OK) else os.strerror(errno.EACCES))
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:  # a name with a NUL
        reason = str(error)
    return f"{path}: cannot be read: {reason}" if reason else ""


PLACES_REFUSED: Final = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)


def place_refused(error: OSError) -> str:
    """A file or folder that somebody named and that cannot be there, as a sentence; empty: it is something else."""
    if error.filename is None or error.errno not in PLACES_REFUSED:
        return ""
    return f"{os.fsdecode(error.filename)}: {error.strerror}: name another place"


def read_input(path: Path, bytes_max: int) -> bytes:
    """All of a file that somebody named, of which no more is read than it may have: it may be a device, or a disk's
    image that was typed in its place. Raises Refusal, OSError."""
    with path.open("rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise Refusal(f"{path}: has more than {bytes_max} bytes, which no file of its kind has", Exit.USAGE)
    return data


class Exit(IntEnum):
    """What the process answers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ABSENT = 3  # what was asked for is not there; standard output says so, too, with `null`
    CONSENSUS = 70  # the engine chooses it: EX_SOFTWARE of sysexits
    UNREACHABLE = 4
    PROOF = 5
    APPLICATION = 69  # the engine's too: EX_UNAVAILABLE
    DISK = 74  # the engine's too: EX_IOERR
    MACHINE = 75  # the engine's too: EX_TEMPFAIL
    UPGRADE = 6  # dchat.node.upgrade's: restarting this build does not help


class Refusal(click.ClickException):
    """An error for a person: one line, and the exit code."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(without_userinfo(message))
        self.exit_code = int(code)  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: Any = None) -> None:
        echo(f"dchat: {with_names(self.format_message())}", err=True)


def with_names(text: str) -> str:
    """Behind each id what it was called on the command line."""
    for found, name in named.items():
        text = text.replace(found, f"{found} ({name})")
    return text


def _remember_home(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[HOME_KEY] = value


def _show_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        echo(f"dchat {build_version()}")
        context.exit()


class CommonOption(click.Option):
    """One that many commands have: help shows it after a command's own."""


def common_option(*names: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """click.option, of what many commands have."""
    return click.option(*names, cls=CommonOption, **how)


def _common_options() -> list[click.Parameter]:
    return [
        CommonOption(
            ["--home"],
            metavar="DIR",
            expose_value=False,
            is_eager=True,
            callback=_remember_home,
            help="The node's home. Default: DCHAT_HOME, else DAEMON_HOME, else ~/.dchat.",
        ),
        CommonOption(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_version,
            help="Show the version and exit.",
        ),
    ]


# Commands that change a home or use its keys.
ADMINISTRATIVE = frozenset({
    "admin add-key", "admin remove-key", "database migrate", "database prune", "database reindex", "database restore",
    "database rollback", "rollback", "signer export", "signer import", "signer next-key", "upgrade cancel",
    "upgrade plan", "upgrade ready",
})  # fmt: skip

# Those that do so where they name no file of a key.
KEY_USES = frozenset({
    "signer adopt", "signer decrypt-key", "signer encrypt-key", "signer init", "signer move-key", "tx stake prove-key",
})  # fmt: skip


def is_recorded(path: str, params: Mapping[str, Any]) -> bool:
    """Whether a command belongs into the home's audit log. One that signs does where the home's own key does."""
    if path in KEY_USES:
        return params.get("key") is None and params.get("key_file") is None  # else of a file that is named
    return path in ADMINISTRATIVE or (path.startswith("tx ") and params.get("sender", path) is None)


class Command(click.Command):
    """A command that understands --home and --version."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()

    def invoke(self, ctx: click.Context) -> Any:
        """What administers a home, or uses its key, is in its audit log, however it ends."""
        path = ctx.command_path.partition(" ")[2]
        root = home_root(ctx)
        if not (is_recorded(path, ctx.params) and (root / "config").is_dir()):
            return super().invoke(ctx)
        told = sorted(name for name in ctx.params if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT)
        ended = "done"
        try:
            return super().invoke(ctx)
        except BaseException as error:
            ended = repr(error)
            if isinstance(error, click.ClickException):  # the chain's own begin so
                ended = f"refused: {error.format_message().removeprefix('refused: ')}"
            raise
        finally:
            try:
                Trail(root / FILE_NAME).add(f"dchat {path}", options=" ".join(told), ended=ended)
            except AuditError as error:
                echo(f"warning: this is not in the audit log: {error}", err=True)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options first, where it has others too that many commands have."""
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (row := param.get_help_record(ctx)) is not None:
                (common if isinstance(param, CommonOption) or "--help" in param.opts else own).append(row)
        for title, rows in (
            ("Options of this command", own),
            ("Options of many commands" if own else "Options", common),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(click.Group):
    """A group that understands --home and --version, and whose commands do too."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()


def home_root(context: click.Context | None = None) -> Path:
    """What --home said anywhere on the line, else the default."""
    ctx = context or click.get_current_context()
    said = ctx.meta.get(HOME_KEY)
    return Path(said).expanduser() if said else default_root()


def home_was_said(context: click.Context | None = None) -> bool:
    return HOME_KEY in (context or click.get_current_context()).meta or bool(os.environ.get("DCHAT_HOME"))


def load_config(root: Path, *, file: Path | None = None, flags: Mapping[str, object] | None = None) -> Loaded:
    """The home's options. A missing file is one without options; a named one must be there."""
    seen = seen_config(root, file=file, flags=flags)
    if seen.problems:
        raise Refusal("\n".join(seen.problems), Exit.USAGE)
    return seen


def seen_config(root: Path, *, file: Path | None = None, flags: Mapping[str, object] | None = None) -> Loaded:
    """As `load_config`, of options of which some may be faulty: those are told, and the others hold."""
    path = file or root / CONFIG_FILE
    return look(path if file or path.exists() else None, flags=flags)


def current_home() -> tuple[Home, Config]:
    root = home_root()
    config = load_config(root).config
    return Home.of(root, config), config


def own_node() -> Config:
    """The options of the home whose own node is asked. Raises Refusal: it was named, and is not there.

    Without that, whoever has the default port here would answer for it.
    """
    own_root()
    return current_home()[1]


def own_root() -> Path:
    """As `own_node`, before its options are read."""
    root = home_root()
    if not root.is_dir() and (home_was_said() or root != Path(DEFAULT_HOME).expanduser()):
        raise Refusal(f"the home {root} does not exist: name another (--home, DCHAT_HOME), or make it", Exit.USAGE)
    return root


key_type_option = click.option(
    "--key-type", type=click.Choice((ED25519, ML_DSA_65)), default=ED25519, show_default=True,
    help="Of a consensus key that is made. The chain's validator.pub_key_types must name it.",
)  # fmt: skip


def show_json(value: object) -> None:
    """One JSON document on standard output."""
    echo(json.dumps(value, indent=2, ensure_ascii=False))
