"""The pictures of the docs, of a network that lives: python -m tests.support.browser.under_load FOLDER [--base-port N].

Four validators are started, the demo's story is told on them, and then people go on paying each other and talking while
the explorer is photographed (desktop and phone, light and dark, a proof) and `dchat top`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
from pathlib import Path
from typing import Final

from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from dchat.client.client import Client
from dchat.client.wallet import Session, TxRefused
from dchat.home import identity
from tests.campaigns.harness import ROOT, Testnet, folder_of, run_campaign, say
from tests.support.browser.__main__ import take
from tests.support.browser.chromium import DESKTOP, PHONE, chromium
from tests.support.cli.top_picture import take as take_top

ROOM: Final = "harbour"
TALK: Final = ("Anyone at the pier?", "The tea is ready.", "Paid you back, thanks!", "See you at eight.")
PAUSE_S: Final = 0.3
LOADED_S: Final = 10.0  # before the first picture
TALL: Final = (DESKTOP[0], 1_400)
TOP_SIZE: Final = (132, 40)
LOOKS: Final = 12
SHOTS: Final[tuple[tuple[str, str, tuple[int, int], bool, bool], ...]] = (
    ("explorer", "", TALL, False, False),
    ("explorer-dark", "", TALL, True, False),
    ("explorer-phone", "", PHONE, True, False),
    ("explorer-phone-light", "#/blocks", PHONE, False, False),
)


async def tell_the_story(home: Path) -> None:
    """Raises AssertionError."""
    ran = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / "demo"), "--home", str(home), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await ran.communicate()
    assert ran.returncode == 0, output.decode()[-2_000:]


async def live(net: Testnet) -> None:
    """Payments and messages until it is cancelled."""
    accounts = {name: identity.load(net.home / file) for name, file in net.network.accounts.items()}
    names = list(accounts)
    async with contextlib.AsyncExitStack() as stack:
        sessions = {}
        for name, place in zip(names, itertools.cycle(net.nodes), strict=False):
            client = await stack.enter_async_context(Client(net.grpc(place.index)))
            sessions[name] = Session(client, accounts[name].wallet)
        carol = accounts["carol"].address
        for message in (RegisterIdentity(carol, "carol", "Carol"), CreateChannel(carol, ROOM, 0, "ships and tea")):
            with contextlib.suppress(TxRefused):  # the story may have done it
                await sessions["carol"].send([message])

        async def pay(name: str) -> None:
            for number in itertools.count(1):
                whom = accounts[names[(names.index(name) + 1 + number % 3) % len(names)]]
                await sessions[name].send([Payment(accounts[name].address, whom.address, 1_000 * number)])
                await asyncio.sleep(PAUSE_S)

        async def talk() -> None:
            for line in itertools.cycle(TALK):
                await sessions["carol"].send([PostMessage(carol, channel_id(ROOM), line.encode(), 0)])
                await asyncio.sleep(PAUSE_S)

        async with asyncio.TaskGroup() as tasks:
            for name in names:
                if name != "carol":
                    tasks.create_task(pay(name))
            tasks.create_task(talk())


async def all_of_them(net: Testnet, folder: Path) -> None:
    await tell_the_story(net.home)
    living = asyncio.create_task(live(net))
    try:
        await asyncio.wait([living], timeout=LOADED_S)
        url = f"http://{net.network.host}:{net.nodes[0].ports.http}/explorer/"
        for name, page, size, dark, prove in SHOTS:
            await take(folder, [f"{name}={url}{page}"], size=size, dark=dark, prove=prove)
        alice = identity.load(net.home / net.network.accounts["alice"]).address.hex()
        await take(folder, [f"explorer-proof={url}#/account/{alice}"], size=DESKTOP, dark=False, prove=True)
        await take_top(folder / "top.svg", net.home, TOP_SIZE, LOOKS)
        assert not living.done(), living
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base-port", type=int, help="of the network; else a test network's own")
    said = parser.parse_args()
    if chromium() is None:
        sys.exit("there is no Chromium here: apt install chromium, or CHROMIUM=/path/to/it")
    flags = ["--base-port", str(said.base_port)] if said.base_port else []
    with folder_of("pictures") as folder, Testnet(folder / "net", *flags) as net:
        run_campaign(all_of_them(net, said.folder))
        say(f"in {said.folder}: explorer*.png, top.svg")


if __name__ == "__main__":
    main()
