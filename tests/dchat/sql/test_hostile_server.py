"""A server of SQL that means harm: what it says costs the process that writes a bounded amount of memory."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dchat.sql.frames import encode_target
from dchat.sql.writer import Target

pytest.importorskip("psycopg", reason="writing into SQL needs psycopg")

MIB = 1 << 20
MEMORY = 96 * MIB
ROW_BYTES = 4 * MIB
ROWS = 3 * MEMORY // ROW_BYTES
WORKER = f"import sys, dchat.sql.worker as w; w.MEMORY_BYTES_MAX = {MEMORY}; sys.exit(w.main())"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def status(name: str, value: str) -> bytes:
    return message(b"S", f"{name}\0{value}\0".encode())


GREETING = b"".join((
    message(b"R", bytes(4)), status("server_version", "15"), status("server_encoding", "UTF8"),
    status("client_encoding", "UTF8"), message(b"K", bytes(8)), message(b"Z", b"I"),
))  # fmt: skip
COLUMN = message(b"T", struct.pack(">H", 1) + b"a\0" + struct.pack(">IHIhiH", 0, 0, 25, -1, -1, 0))
ROW = message(b"D", struct.pack(">HI", 1, ROW_BYTES) + b"y" * ROW_BYTES)


def endless(connection: socket.socket, has_sent: threading.Event) -> None:
    """Rows without end, to whatever is asked."""
    with contextlib.suppress(OSError), connection:
        if len(connection.recv(8)) == 8 and not connection.sendall(b"N"):  # no encryption
            connection.recv(4_096)
        connection.sendall(GREETING)
        connection.recv(4_096)
        connection.sendall(COLUMN)
        for _ in range(ROWS):
            connection.sendall(ROW)
        has_sent.set()
        connection.recv(4_096)


def test_an_answer_without_end_takes_no_more_memory_than_is_allowed() -> None:
    """Audit 57. It took all that the machine has, beside a validator: 1.5 GB in ten seconds."""
    has_sent = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: endless(listening.accept()[0], has_sent), daemon=True).start()
        url = f"postgresql://u:p@127.0.0.1:{listening.getsockname()[1]}/db?gssencmode=disable"
        words = [sys.executable, "-c", WORKER]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
            assert worker.stdin is not None
            try:
                worker.stdin.write(encode_target(Target(url, "dchat", "chain", "ab" * 32)))
                worker.stdin.flush()
                assert has_sent.wait(60)
                told = Path(f"/proc/{worker.pid}/status").read_text()
            finally:
                worker.kill()
    highest = re.search(r"VmHWM:\s+([0-9]+) kB", told)
    assert highest is not None, told
    assert int(highest[1]) << 10 < 2 * MEMORY, told
