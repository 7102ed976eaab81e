"""A picture of latency against throughput, as SVG: readable on light and on dark paper.

    python -m benchmarks.load.picture RESULT.json OUT.svg

Both axes are logarithmic. Beside the curve stand what others reach on such a machine, for orientation: they were not
measured in the same run.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 60
X_RANGE: Final = (100.0, 10_000.0)
Y_RANGE: Final = (0.02, 5.0)
X_TICKS: Final = (100, 200, 500, 1_000, 2_000, 5_000, 10_000)
Y_TICKS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
STYLE: Final = """
text { font: 13px sans-serif; fill: #1f2328 } .small { font-size: 12px } .title { font-size: 15px; font-weight: bold }
.axis { stroke: #57606a } .grid { stroke: #d0d7de; stroke-width: .6 } .paper { fill: #ffffff }
.p50 { stroke: #0969da; fill: none; stroke-width: 2 } .p95 { stroke: #bc4c00; fill: none; stroke-width: 2 }
.p50d { fill: #0969da } .p95d { fill: #bc4c00 } .peer { fill: #8250df; fill-opacity: .18 } .peert { fill: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .axis { stroke: #8d96a0 } .grid { stroke: #30363d } .paper { fill: #0d1117 }
.p50 { stroke: #58a6ff } .p95 { stroke: #f0883e } .p50d { fill: #58a6ff } .p95d { fill: #f0883e }
.peer { fill: #a371f7; fill-opacity: .25 } .peert { fill: #bc8cff } }
"""


@dataclass(frozen=True, slots=True)
class Band:
    """What others commit a second at most."""

    name: str
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A latency of others at a rate, in seconds."""

    name: str
    rate: float
    p50: float
    p95: float


BANDS: Final = (
    Band("Cosmos SDK 0.50, signed", 640, 821),
    Band("CometBFT 0.38.26, tuned, unsigned store", 6_500, 7_300),
)
MARKS: Final = (Mark("CometBFT 0.38, fastest", 500, 0.4, 0.5),)


def _x(rate: float) -> float:
    low, high = map(math.log, X_RANGE)
    share = (math.log(min(max(rate, X_RANGE[0]), X_RANGE[1])) - low) / (high - low)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(seconds: float) -> float:
    low, high = map(math.log, Y_RANGE)
    share = (math.log(min(max(seconds, Y_RANGE[0]), Y_RANGE[1])) - low) / (high - low)
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'


def _frame() -> list[str]:
    foot, edge = HEIGHT - BOTTOM, WIDTH - RIGHT
    out = []
    for rate in X_TICKS:
        out.append(f'<line class="grid" x1="{_x(rate)}" x2="{_x(rate)}" y1="{TOP}" y2="{foot}"/>')
        out.append(_text(_x(rate), foot + 18, f"{rate:,}", kind="small", anchor="middle"))
    for seconds in Y_TICKS:
        out.append(f'<line class="grid" x1="{LEFT}" x2="{edge}" y1="{_y(seconds)}" y2="{_y(seconds)}"/>')
        out.append(_text(LEFT - 8, _y(seconds) + 4, f"{seconds:g}", kind="small", anchor="end"))
    out.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{foot}H{edge}"/>')
    out.append(_text((LEFT + edge) / 2, HEIGHT - 18, "committed a second", anchor="middle"))
    out.append(_text(22, (TOP + foot) / 2, "from due to committed, seconds", anchor="middle", turned=True))
    return out


def _peers() -> list[str]:
    foot, out = HEIGHT - BOTTOM, []
    for band in BANDS:
        left, right = _x(band.least), _x(band.most)
        out.append(f'<rect class="peer" x="{left}" y="{TOP}" width="{right - left:.1f}" height="{foot - TOP}"/>')
        out.append(_text(left - 5, TOP + 6, band.name, kind="small peert", anchor="end", turned=True))
    for mark in MARKS:
        x, high, low = _x(mark.rate), _y(mark.p95), _y(mark.p50)
        out.append(f'<path class="peert" d="M{x - 5} {low}h10l-5 -9zM{x - 5} {high}h10l-5 -9z"/>')
        out.append(_text(x - 9, high, f"{mark.name}, p50 and p95", kind="small peert", anchor="end"))
    return out


def _curve(points: Sequence[tuple[float, float]], kind: str, name: str) -> list[str]:
    path = " ".join(f"{'M' if not n else 'L'}{_x(rate)} {_y(seconds)}" for n, (rate, seconds) in enumerate(points))
    out = [f'<path class="{kind}" d="{path}"/>']
    out += [f'<circle class="{kind}d" cx="{_x(rate)}" cy="{_y(seconds)}" r="3.5"/>' for rate, seconds in points]
    if points:
        out.append(_text(_x(points[0][0]) - 8, _y(points[0][1]) + 4, name, kind=f"small {kind}d", anchor="end"))
    return out


def draw(title: str, points: Sequence[tuple[float, float, float]]) -> str:
    """points: (committed a second, p50, p95 in seconds), rising."""
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(LEFT, 22, title, kind="title"),
        _text(LEFT, 40, "violet: others, from other runs, for orientation", kind="small peert"),
        *_frame(), *_peers(),
        *_curve([(rate, p50) for rate, p50, _ in points], "p50", "p50"),
        *_curve([(rate, p95) for rate, _, p95 in points], "p95", "p95"),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(out) + "\n"


def of_result(result: dict[str, Any]) -> str:
    """What `benchmarks.network --json` wrote."""
    rows = [row["load"] for row in result["curve"]]
    points = sorted((row["per_second"], row["p50_s"], row["p95_s"]) for row in rows)
    senders, validators = result["senders"], result["validators"]
    return draw(f"{validators} validators, {result['mix']} of {senders:,} senders", points)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(of_result(json.loads(source.read_text())))
