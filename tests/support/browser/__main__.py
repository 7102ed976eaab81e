"""Pictures of pages: python -m tests.support.browser FOLDER NAME=URL ... [--phone] [--dark] [--height N] [--prove].

Each is FOLDER/NAME.png, of few colours where `pngquant` is there. --prove: the button for the proof is pressed first.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.browser.chromium import DESKTOP, PHONE, browsing, chromium

SETTLED = "document.querySelector('main h1') && document.getElementById('main').ariaBusy === 'false'"
LIVE = "location.hash.slice(2) || document.querySelector('#height')"


async def take(folder: Path, pages: list[str], *, size: tuple[int, int], dark: bool, prove: bool) -> None:
    async with browsing() as browser:
        for page in pages:
            name, _, url = page.partition("=")
            tab = await browser.tab()
            await tab.look(size=size, dark=dark)
            await tab.open(url)
            await tab.until(f"({SETTLED}) && ({LIVE})")
            if prove:
                await tab.ask("document.querySelector('main button').click()")
                await tab.until("document.querySelector('.checks')")
                await tab.ask("document.querySelector('.checks').scrollIntoView({ block: 'end' })")
            file = folder / f"{name}.png"
            await tab.picture(file)
            await asyncio.to_thread(squeeze, file)
            print(f"{file}: {file.stat().st_size} bytes; complaints: {tab.complaints or 'none'}")  # noqa: T201


def squeeze(file: Path) -> None:
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--output", file, "48", file], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="+", metavar="NAME=URL")
    parser.add_argument("--phone", action="store_true")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--height", type=int, default=0)
    said = parser.parse_args()
    if chromium() is None:
        sys.exit("there is no Chromium here: apt install chromium, or CHROMIUM=/path/to/it")
    width, height = PHONE if said.phone else DESKTOP
    said.folder.mkdir(parents=True, exist_ok=True)
    size = (width, said.height or height)
    asyncio.run(take(said.folder, said.pages, size=size, dark=said.dark, prove=said.prove))


if __name__ == "__main__":
    main()
