"""A secret is found however others write it, and nothing else is taken out."""

from __future__ import annotations

import base64
import json
import random
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dchat.dump.forms import Forms

HIDDEN = "(hidden)"
PHRASE = 'it\'s a "grüße" \\ 𝄞/+%41 phrase'


def dumped(line: Callable[[int, bytes, str], str]) -> Callable[[bytes], str]:
    """Lines of 16 bytes: their offset, they, and what they look like."""

    def written(data: bytes) -> str:
        pieces = [data[at : at + 16] for at in range(0, len(data), 16)]
        looks = ["".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece) for piece in pieces]
        return "\n" + "\n".join(line(16 * at, piece, looks[at]) for at, piece in enumerate(pieces)) + "\n"

    return written


WRITTEN: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex in capitals": lambda data: data.hex().upper(),
    "hex with colons": lambda data: data.hex(":").upper(),
    "hex with spaces": lambda data: data.hex(" "),
    "hex over lines": lambda data: "\n".join(textwrap.wrap(data.hex(), 16)),
    "a number in hex": lambda data: hex(int.from_bytes(data, "big")),
    "a number": lambda data: str(int.from_bytes(data, "big")),
    "hexdump -C": dumped(
        lambda at, piece, look: f"{at:08x}  {piece[:8].hex(' '):23}  {piece[8:].hex(' '):23}  |{look}|"
    ),
    "xxd": dumped(lambda at, piece, look: f"{at:08x}: {piece.hex(' ', -2):39}  {look}"),
    "a list in C": lambda data: ", ".join(f"0x{byte:02x}" for byte in data),
    "a string in C": lambda data: "".join(f"\\x{byte:02X}" for byte in data),
    "octal": lambda data: "".join(f"\\{byte:03o}" for byte in data),
    "Python's bytes": repr,
    "Python's bytearray": lambda data: repr(bytearray(data)),
    "Python's bytes in JSON": lambda data: json.dumps({"error": repr(data)}),
    "Python's bytes in JSON in JSON": lambda data: json.dumps({"line": json.dumps({"error": repr(data)})}),
    "a list": lambda data: repr(list(data)),
    "a list in JSON with lines": lambda data: json.dumps(list(data), indent=1),
    "a list in JSON in JSON": lambda data: json.dumps(json.dumps(list(data), indent=1)),
    "numbers with spaces": lambda data: " ".join(map(str, data)),
    "signed bytes": lambda data: repr([byte - 256 if byte > 127 else byte for byte in data]),
    "base64": lambda data: base64.b64encode(data).decode(),
    "base64 for URLs": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "base64 in a URL": lambda data: quote(base64.b64encode(data).decode(), safe=""),
    "base64 over lines": lambda data: base64.encodebytes(b"#" * 70 + data).decode(),
    "base64 over lines in JSON": lambda data: json.dumps(base64.encodebytes(b"#" * 70 + data).decode()),
    **{
        f"base64 with {before} before and {behind} behind": lambda data, before=before, behind=behind: base64.b64encode(
            b"x" * before + data + b"y" * behind
        ).decode()
        for before in range(4)
        for behind in range(3)
    },
    "base64 for URLs, at an offset": lambda data: base64.urlsafe_b64encode(b"u:" + data).decode(),
    "a URL": lambda data: quote(data, safe=""),
    "a form": quote_plus,
}


def without(text: str, data: bytes) -> bool:
    """Whether no half of it is left in any form, but for what edges of base64 hold."""
    halves = [data[: len(data) // 2], data[len(data) // 2 :]]
    return HIDDEN in text and not any(
        form in text
        for half in halves
        for form in (half.hex(), repr(list(half))[1:-1], base64.b64encode(half[:6]).decode())
    )


@pytest.mark.parametrize("form", WRITTEN)
def test_a_key_is_found(form: str) -> None:
    for number in range(20):
        key = random.Random(number).randbytes(32)
        key = bytes([key[0] >> 4]) + key[1:] if number % 2 else key
        forms = Forms([key.hex()], HIDDEN)
        told = f"before {WRITTEN[form](key)} behind"
        hidden = forms.hide(told)
        assert hidden.startswith("before "), hidden
        assert hidden.endswith(" behind"), hidden
        assert without(hidden, key), (told, hidden)


@pytest.mark.parametrize("form", WRITTEN)
def test_a_passphrase_is_found(form: str) -> None:
    told = f"before {WRITTEN[form](PHRASE.encode())} behind"
    assert HIDDEN in Forms([PHRASE], HIDDEN).hide(told), told


@pytest.mark.parametrize("pair", [0, 1], ids=["seed", "pair"])
def test_of_a_key_pair_the_seed_is_found_alone(pair: int) -> None:
    seed, public = random.Random(1).randbytes(32), random.Random(2).randbytes(32)
    forms = Forms([base64.b64encode(seed + public).decode()], HIDDEN)
    assert forms.hide(f"x {(seed + public * pair).hex()} y").startswith(f"x {HIDDEN}")
    assert forms.hide(f"x {public.hex()} y") == f"x {public.hex()} y"


@given(st.text(max_size=200), st.text(max_size=200), st.binary(min_size=16, max_size=64))
def test_what_stands_around_it_stays(before: str, behind: str, key: bytes) -> None:
    """In brackets, so that nothing around it reads as a part of it, as the zero before a key of zeros does."""
    assume(len(set(key)) >= 8)
    forms = Forms([base64.b64encode(key).decode()], HIDDEN)
    nothing = forms.hide(before) == before and forms.hide(behind) == behind
    hidden = forms.hide(f"{before}<{key.hex()}>{behind}")
    assert HIDDEN in hidden
    if nothing:
        assert hidden == f"{before}<{HIDDEN}>{behind}"


def test_a_text_of_the_greatest_length_is_read_in_one_go_through_each_form() -> None:
    """Texts that make a reader begin again and again: they took minutes, if it did."""
    forms = Forms([random.Random(number).randbytes(32).hex() for number in range(8)], HIDDEN)
    for piece in ("\\", "1 ", "0000: ", "  |", "00000000  00  ||\n", "%41", "\\x41", "0x", "a" * 15 + ":", "-"):
        text = piece * ((1 << 20) // len(piece))
        assert forms.hide(text) == text
