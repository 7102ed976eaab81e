"""A picture of `dchat top`: python -m tests.support.cli.top_picture FILE.svg NETWORK-FOLDER [WIDTH HEIGHT [LOOKS]]."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dchat.cli.top.command import watched_of
from dchat.cli.top.readings import Watch
from dchat.cli.top.screen import Top
from dchat.devnet.network import load_network


async def take(file: Path, folder: Path, size: tuple[int, int], looks: int) -> None:
    """Once it has looked so often: rates need several answers."""
    app = Top(Watch(watched_of(load_network(folder))))
    async with app.run_test(size=size) as pilot:
        while app.rounds < looks:
            await pilot.pause(0.2)
        await pilot.pause()
        await asyncio.to_thread(file.write_text, app.export_screenshot(title="dchat top"))


if __name__ == "__main__":
    said = sys.argv[1:]
    numbers = [int(text) for text in said[2:]]
    asyncio.run(
        take(
            Path(said[0]),
            Path(said[1]),
            (numbers[0], numbers[1]) if numbers else (132, 40),
            (numbers + [0] * 3)[2] or 10,
        )
    )
