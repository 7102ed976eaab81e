"""One case carried out: the fault, the alert, what its page says to type, the network well again."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.docs.pages import Names, Typed
from tests.support.runbooks.cases import Case, Sign
from tests.support.runbooks.pages import Runbook, runbooks
from tests.support.runbooks.prometheus import Alert
from tests.support.runbooks.world import NotAsTold, World

AGAIN_S = 0.5
ASKED_FOR_S = 30.0  # a check is asked again until it tells what the page says: the alert may be quicker


@dataclass(frozen=True)
class Row:
    """One alert of the table. Seconds from the fault, and from the remedy's begin. commands: how many were typed."""

    alert: str
    injected: str
    fired_s: float
    commands: tuple[str, ...]
    cleared_s: float


def carry_out(world: World, case: Case, say: Callable[[str], None] = lambda text: None) -> list[Row]:
    """Raises NotAsTold."""
    pages = runbooks()
    world.settle()
    case.prepare(world)
    world.settle()
    seen = world.prometheus
    seen.forget()
    began = time.monotonic()
    case.cause(world)
    fired: dict[str, float] = {}
    typed: dict[str, list[str]] = {}
    for sign in case.signs:
        name = sign.alert
        alert = _fires(world, sign, case.fires_s)
        fired[name] = seen.first.get(name, time.monotonic()) - began
        say(f"{name} fires after {fired[name]:.1f} s: {alert.summary}")
        typed[name] = list(_checks(world, sign.at, pages[name], say))
    remedied = time.monotonic()
    case.mend(world)
    done: set[tuple[int, tuple[tuple[str, ...], ...]]] = set()  # two alerts of one fault may have one remedy
    for name in case.alerts:
        for index in case.remedy_at:
            steps = tuple(one.words for one in pages[name].remedy)
            typed[name] += [shlex.join(words) for words in steps]
            if (index, steps) not in done:
                done.add((index, steps))
                _remedy(world, pages[name], index, say)
    cleared: dict[str, float] = {}
    for name in case.alerts:
        gone = _gone(world, name)
        world.until(f"{name} is over", gone, timeout_s=case.clears_s)
        cleared[name] = max(0.0, seen.last[name] - remedied)
        say(f"{name} is over after {cleared[name]:.1f} s")
    world.recover()
    case.after(world)
    return [
        Row(name, case.injected, fired[name], tuple(dict.fromkeys(typed[name])), cleared[name]) for name in case.alerts
    ]


def _fires(world: World, sign: Sign, timeout_s: float) -> Alert:
    name = sign.alert
    port = "" if sign.where is None else f"{world.network.host}:{world.node(sign.where).ports.metrics}"
    found: list[Alert] = []

    def fires() -> bool:
        alert = world.prometheus.firing(name, lambda one: not port or one.where == port)
        found.extend([] if alert is None else [alert])
        return alert is not None

    world.until(f"{name} fires", fires, timeout_s=timeout_s)
    told = f"{found[0].summary} {found[0].description}"
    if "<no value>" in told or "<error" in told:
        raise NotAsTold(f"{name} says: {told}")
    return found[0]


def _gone(world: World, name: str) -> Callable[[], bool]:
    return lambda: all(one.name != name for one in world.prometheus.alerts())


def _checks(world: World, index: int, page: Runbook, say: Callable[[str], None]) -> Iterator[str]:
    """A check may well end with an error: that is what it is for. It must not be a usage error, nor a traceback."""
    for one in page.check:
        deadline = time.monotonic() + ASKED_FOR_S
        while True:
            code, printed = world.type(one.words, index)
            wrong = _wrong(world, one, code, printed, may_fail=True)
            if not wrong:
                break
            if time.monotonic() > deadline:
                raise NotAsTold(wrong)
            time.sleep(AGAIN_S)
        say(f"  at {index}: {shlex.join(one.words)} ({code}): {' '.join(printed.split())[:200]}")
        yield shlex.join(one.words)


def _remedy(world: World, page: Runbook, index: int, say: Callable[[str], None]) -> None:
    for one in page.remedy:
        code, printed = world.type(one.words, index)
        if wrong := _wrong(world, one, code, printed, may_fail=False):
            raise NotAsTold(wrong)
        say(f"  at {index}: {shlex.join(one.words)} ({code}): {' '.join(printed.split())[:200]}")


def _wrong(world: World, typed: Typed, code: int, printed: str, *, may_fail: bool) -> str:
    """Empty: it is as the page says."""
    names = Names(world.names)
    if "Traceback" in printed or "Usage: " in printed or (code and not may_fail):
        return f"{typed}: exit code {code}\n{printed}\n{world.told()}"
    if not names.found_in(typed.shown, printed):
        return f"{typed}: exit code {code}\n{printed}\nbut the page says:\n{typed.shown}\n{world.told()}"
    return ""
