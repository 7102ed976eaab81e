"""The other end of `verifiers.HelperVerifiers`: a process that verifies what it is sent, until its input ends.

It knows nothing but what stands in a request: no keys, no files, no network. Both sides are ours, on one machine.
    request   count (4 bytes), length of the rest (4), then each check: public key (32), signature (64), length of the
              message (4), message
    answer    one byte each: 1 when the signature is the key's for the message
Source: none; the numbers are big-endian.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final

from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES, ed25519_verify

HEAD_BYTES: Final = 8
LENGTH_BYTES: Final = 4
FIXED_BYTES: Final = ED25519_KEY_BYTES + SIGNATURE_BYTES + LENGTH_BYTES


def encode_request(checks: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """checks: (public key of 32 bytes, message, signature of 64)."""
    pieces: list[bytes] = []
    for key, message, signature in checks:
        assert len(key) == ED25519_KEY_BYTES and len(signature) == SIGNATURE_BYTES  # noqa: PT018 - asked for each check
        pieces += (key, signature, len(message).to_bytes(LENGTH_BYTES, "big"), message)
    body = b"".join(pieces)
    return len(checks).to_bytes(LENGTH_BYTES, "big") + len(body).to_bytes(LENGTH_BYTES, "big") + body


def answer_of(count: int, body: bytes) -> bytes:
    """The answer to a request with that body."""
    answer, at = bytearray(count), 0
    for index in range(count):
        begin = at + FIXED_BYTES
        key, signature = body[at : at + ED25519_KEY_BYTES], body[at + ED25519_KEY_BYTES : begin - LENGTH_BYTES]
        at = begin + int.from_bytes(body[begin - LENGTH_BYTES : begin], "big")
        answer[index] = ed25519_verify(key, body[begin:at], signature)
    assert at == len(body), (at, len(body))
    return bytes(answer)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Until `requests` ends: with whoever started us."""
    while len(head := requests.read(HEAD_BYTES)) == HEAD_BYTES:
        count, size = int.from_bytes(head[:LENGTH_BYTES], "big"), int.from_bytes(head[LENGTH_BYTES:], "big")
        body = requests.read(size)
        if len(body) < size:
            return
        answers.write(answer_of(count, body))
        answers.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, to all in it: our input ends when it is time
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        sys.stdout = None  # nobody reads any more: nothing to flush at the end


if __name__ == "__main__":
    main()
