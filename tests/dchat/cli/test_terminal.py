"""Text from other people reaches the operator's terminal as text, and nothing else."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dchat.cli.local.testnet_control import Row, table_of
from dchat.cli.terminal.base import Refusal, echo, show_json
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home import logs
from dchat.shown.text import safe, safe_line

ROOT = Path(__file__).parents[3]

# What a terminal would do with it, and how it is shown.
HOSTILE = {
    "clears the screen": ("a\x1b[2Jb", "a\\u001b[2Jb"),
    "overwrites the line": ("paid 5\rpaid 500", "paid 5\\u000dpaid 500"),
    "goes back": ("abc\x08\x08x", "abc\\u0008\\u0008x"),
    "sets the title": ("\x1b]0;root\x07", "\\u001b]0;root\\u0007"),
    "C1 control sequence": ("\x9b2J", "\\u009b2J"),
    "deletes": ("\x7f", "\\u007f"),
    "reverses": ("user\u202egnp.exe", "user\\u202egnp.exe"),
    "isolates": ("a\u2066b\u2069", "a\\u2066b\\u2069"),
    "hides": ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
    "breaks lines": ("a\u2028b\x0bc\x0c", "a\\u2028b\\u000bc\\u000c"),
    "tags": ("\U000e0041", "\\udb40\\udc41"),
    "broken bytes": ("\udc80", "\\udc80"),
}
READABLE = ["hello", "Grüße", "日本語", "مرحبا", "שלום", "नमस्ते", "👩‍👩‍👧 ❤️", 'a "quoted" \\ text', "tab\tnew\nline"]


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """audit 20: titles, topics, monikers, names, memos, messages, errors."""
    assert safe(text) == shown
    echo(text)
    echo(text, err=True)
    Refusal(text).show()
    out, err = capsys.readouterr()
    assert (out, err) == (f"{shown}\n", f"{shown}\ndchat: {shown}\n")


@pytest.mark.parametrize("text", READABLE)
def test_every_script_stays_readable(text: str) -> None:
    assert safe(text) == text


@given(st.text(st.characters(), max_size=60))
def test_no_text_gets_through_and_json_means_the_same(text: str) -> None:
    """audit 20: whatever it is; a JSON document with escapes is the same document."""
    shown = safe_line(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()  # no surrogate is left
    assert json.loads(safe(json.dumps({text: text}, indent=2, ensure_ascii=False))) == {text: text}
    assert safe_line(shown) == shown


def test_json_for_people_is_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"title": "\x1b[2J\u202e日本", "list": ["\x9b", "\udc80"]}
    show_json(document)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "日本" in out
    assert json.loads(out) == document


@pytest.mark.parametrize("kind", ["key=value", "json"])
def test_log_lines_are_lines_of_plain_text(kind: str) -> None:
    """audit 20: a peer's moniker, a reason, an exception's text: none of them begins a line or moves the cursor."""
    program = (
        "import structlog, logging; from dchat.home import logs\n"
        f"logs.configure(level='info', json_lines={kind == 'json'})\n"
        "log = structlog.get_logger()\n"
        "bad = 'x\\x1b[2J\\nlevel=error event=fake\\u202e\\x9b'\n"
        "log.info('met a peer', moniker=bad, reason=ValueError(bad), many=[bad], height=3, ok=True)\n"
        "try:\n    raise ValueError(bad)\n"
        "except ValueError as error:\n    log.error('failed', exc_info=error)\n"
        "logging.getLogger('lib').warning('%s', bad)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT, env={"PYTHONIOENCODING": "utf-8"}
    )
    text = done.stderr.decode()
    assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert "height=3" in text or '"height": 3' in text
    assert not any(line.startswith("level=error event=fake") for line in text.splitlines()[:1])


def test_a_nodes_answer_in_a_table_is_neither_escape_nor_markup(tmp_path: Path) -> None:
    """audit 20: rich would take `[red]` for its own."""
    network = make_network(tmp_path, validators=1, ports=free_ports(1))
    status = {
        "latest_block_height": "\x1b[2J", "consensus_round": "[red]1", "consensus_step": "\u202epets",
        "peer_count": "[/]", "mempool_size": "\x07", "latest_app_hash": "\x9b[link=x]",
    }  # fmt: skip
    console = Console(width=200, force_terminal=False)
    with console.capture() as captured:
        console.print(table_of(network, [Row(network.nodes[0], 1, status, 0.0)]))
    shown = captured.get()
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(shown)
    assert "[red]1" in shown


def test_commands_have_one_way_to_say_something() -> None:
    """audit 20: `dchat.cli.terminal.base.echo`, which escapes."""
    others = []
    for path in (ROOT / "dchat" / "cli").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call):
                name = ast.unparse(call.func)
                if name in ("print", "click.echo", "click.secho", "click.echo_via_pager", "sys.stdout.write"):
                    others.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert [place for place in others if not place.startswith("dchat/cli/terminal/base.py:")] == []


def test_libraries_lines_are_escaped() -> None:
    record = logging.LogRecord("aiohttp", logging.WARNING, "", 0, "\x1b[2J %s", ("\u202e",), None)
    assert logs._SafeFormatter(logs.LIBRARIES_FORMAT).format(record) == "WARNING aiohttp \\u001b[2J \\u202e"
