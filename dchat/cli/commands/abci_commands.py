"""`dchat abci`: our application, served to another engine."""

from __future__ import annotations

import click

from consensus.abci_socket.address import UNIX, SocketAddress, parse_address
from consensus.formats.errors import InvalidDocument
from dchat.cli.terminal.base import Command, Exit, Refusal, home_root, load_config
from dchat.home.home import Home


@click.command(cls=Command)
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="tcp://HOST:PORT or unix://PATH. Default: the file data/abci.sock of the home.",
)
@click.option("--halt-height", type=int, help="Stop before this block.")
@click.option("--halt-time", type=int, help="Stop before the first block of this time (unix seconds).")
@click.option(
    "--skip-upgrade-height", type=int, multiple=True,
    help="Clear a plan that is due there, instead of stopping; repeat for more.",
)  # fmt: skip
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--json-logs", is_flag=True, default=None, help="JSON lines instead of key=value.")
def abci(
    listen: str | None,
    halt_height: int | None,
    halt_time: int | None,
    skip_upgrade_height: tuple[int, ...],
    log_level: str | None,
    json_logs: bool | None,
) -> None:
    """Serve the application over ABCI 2.0 to another engine, such as a CometBFT 0.38 node.

    Its state and its snapshots lie in its own home; the engine hands it the genesis and the blocks. Who connects is
    trusted, so listen on a socket file or a loopback address. SIGTERM and Ctrl-C stop it after the call that is under
    way. See docs/abci.md.
    """
    from dchat.abci.process import default_socket, serve

    flags = {
        "upgrade.halt_height": halt_height,
        "upgrade.halt_time": halt_time,
        "upgrade.skip_heights": list(skip_upgrade_height) or None,
        "log.level": log_level,
        "log.json_lines": json_logs,
    }
    loaded = load_config(home_root(), flags=flags)
    home = Home.of(home_root(), loaded.config)
    try:
        address = parse_address(listen) if listen else SocketAddress(UNIX, path=str(default_socket(home)))
    except InvalidDocument as error:
        raise Refusal(f"--listen: {error}", Exit.USAGE) from None
    if code := serve(home, loaded.config, address):
        raise SystemExit(code)
