"""Chromium without a window: pages are opened, asked, typed into and photographed; what they complain of is kept.

Source: the DevTools protocol, https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_S: Final = 60.0
ANSWER_S: Final = 60.0
WAIT_S: Final = 60.0
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)
ENTER: Final = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
TAB: Final = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}


def chromium() -> str | None:
    """Where one is; None: nowhere. CHROMIUM names another."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Tab:
    """One page. complaints: errors of scripts, refusals by its policy, answers that failed to load."""

    browser: Browser
    session: str
    complaints: list[str] = field(default_factory=list)

    async def call(self, method: str, **what: Any) -> dict[str, Any]:
        return await self.browser.call(method, self.session, **what)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def ask(self, expression: str) -> Any:
        """What an expression of JavaScript is, awaited. Raises AssertionError where it throws."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, expression: str, *, timeout_s: float = WAIT_S) -> Any:
        """Until it is true. Raises AssertionError, with what the page shows."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (told := await self.ask(f"Boolean(document.body && ({expression}))")):  # noqa: ASYNC110 - a page's
                    await asyncio.sleep(0.05)
                return told
        except TimeoutError:
            shown = await self.ask("document.body.innerText")
            raise AssertionError(
                f"{expression} did not come true; the page shows:\n{shown}\n{self.complaints}"
            ) from None

    async def until_shown(self, text: str) -> None:
        await self.until(f"document.body.innerText.includes({json.dumps(text)})")

    async def go(self, path: str) -> None:
        """To another page of the explorer, until it is there."""
        await self.ask(f"document.getElementById('main').ariaBusy = 'true'; location.hash = {json.dumps(path)}")
        await self.until("document.getElementById('main').ariaBusy === 'false'")

    async def press(self, key: dict[str, Any]) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, **key)

    async def write(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def look(self, *, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
        width, height = size
        is_phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=is_phone, deviceScaleFactor=1
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, file: Path) -> None:
        told = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(told["data"]))


class Browser:
    """`browsing` makes one."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    async def call(self, method: str, session: str = "", **what: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        said = {"id": number, "method": method, "params": what, **({"sessionId": session} if session else {})}
        await self._socket.send_json(said)
        async with asyncio.timeout(ANSWER_S):
            told = await answer
        assert "error" not in told, (method, told["error"])
        result: dict[str, Any] = told["result"]
        return result

    async def tab(self) -> Tab:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = self._tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        for room in ("Page", "Runtime", "Log"):
            await tab.call(f"{room}.enable")
        await tab.look()
        return tab

    async def listen(self) -> None:
        async for said in self._socket:
            told = json.loads(said.data)
            if (answer := self._waiting.pop(told.get("id"), None)) is not None:
                if not answer.done():
                    answer.set_result(told)
            elif (tab := self._tabs.get(told.get("sessionId", ""))) is not None:
                _hear(tab, told["method"], told["params"])


def _hear(tab: Tab, method: str, told: dict[str, Any]) -> None:
    if method == "Runtime.exceptionThrown":
        details = told["exceptionDetails"]
        tab.complaints.append(str(details.get("exception", {}).get("description") or details["text"]))
    elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
        tab.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
    elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
        tab.complaints.append(str([one.get("value", one.get("description")) for one in told["args"]]))


@contextlib.asynccontextmanager
async def browsing(*flags: str) -> AsyncIterator[Browser]:
    """Ended, and its folder gone, when left. There must be one: `chromium`."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
            f"--user-data-dir={folder}", *flags, "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            url = ""
            async with asyncio.timeout(START_S):
                while not url:
                    line = (await process.stderr.readline()).decode(errors="replace")
                    assert line, f"{program} ended before it could be spoken to"
                    url = line.partition("DevTools listening on ")[2].strip()
            drained = asyncio.create_task(process.stderr.read())
            async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
                browser = Browser(socket)
                heard = asyncio.create_task(browser.listen())
                yield browser
                heard.cancel()
            drained.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
