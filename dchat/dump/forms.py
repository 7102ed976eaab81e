"""Every way in which a secret is written: one look at a text through each of them.

A reading makes of a text what it stands for: escapes of JSON, Python and C undone, `%41` of URLs, the digits of hex
alone, lists of numbers as the bytes that they are, the characters of base64 alone. In what comes out a secret has few
forms, and whatever stood between its characters (colons, spaces, ends of lines, `0x`, a hex dump's columns) does not
count. What is found is taken out of the text itself. Each reading goes through a text once, each secret through each
reading once.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

SHORTEST: Final = 8  # characters: what is shorter stands everywhere by chance
KEY_BYTES: Final = 16  # what is meant by hex or base64 is a key from so many on
SEED_BYTES: Final = 32  # with which a key pair begins
BEGIN_BYTES: Final = 30  # of a seed: a multiple of three, whose base64 is the same however it goes on
NUMBER_BYTES_MAX: Final = 128  # nobody writes what is longer than a key as one number
ESCAPED_DEPTH: Final = 3  # JSON in a string of Python in a line of JSON

Span = tuple[int, int]
_SIGNS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}
_ESCAPE: Final = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.DOTALL)
_PERCENT: Final = re.compile(r"%[0-9a-fA-F]{2}|\+")
_PERCENT_ALONE: Final = re.compile(r"%[0-9a-fA-F]{2}")
_NOT_HEX: Final = re.compile(r"0[xX]|[^0-9a-fA-F]+")
# Of `hexdump -C` and `xxd`: the offset before a line's bytes, and what they look like as text behind them.
_OF_DUMP: Final = re.compile(r"^[0-9a-fA-F]{4,16}:? {1,2}|  \|?[^\n]{1,16}\|?$", re.MULTILINE)
_NUMBER: Final = re.compile(r"(?<![0-9])-[0-9]+|[0-9]+|-|[^0-9-]+")
_NOT_BASE64: Final = re.compile(r"%2[bBfF]|%|\\++[nrt]?|[^A-Za-z0-9+/_%\\-]+")
_HEX_LOWER: Final = bytes.maketrans(b"ABCDEF", b"abcdef")
_ALL_BUT_HEX: Final = bytes(code for code in range(256) if chr(code) not in "0123456789abcdefABCDEF")


class _Read(NamedTuple):
    """What a reading made of a text. at: where pieces begin, in what was made; of: (begin, end) of each in the text,
    and whether it was taken over as it is."""

    made: str
    at: list[int]
    of: list[tuple[int, int, bool]]

    def back(self, span: Span) -> Span:
        """Where that stands in the text."""
        return self._begin(span[0]), self._end(span[1] - 1)

    def _begin(self, index: int) -> int:
        piece = bisect_right(self.at, index) - 1
        begin, _, is_same = self.of[piece]
        return begin + (index - self.at[piece]) if is_same else begin

    def _end(self, index: int) -> int:
        piece = bisect_right(self.at, index) - 1
        begin, end, is_same = self.of[piece]
        return begin + (index - self.at[piece]) + 1 if is_same else end


def _read(text: str, tokens: re.Pattern[str], meant: Callable[[str], str]) -> _Read:
    """The text with each token as what it means; what is between tokens as it is."""
    made: list[str] = []
    at: list[int] = []
    of: list[tuple[int, int, bool]] = []
    length = end = 0
    for token in tokens.finditer(text):
        begin = token.start()
        if begin > end:
            at.append(length)
            of.append((end, begin, True))
            made.append(text[end:begin])
            length += begin - end
        end = token.end()
        if piece := meant(token[0]):
            at.append(length)
            of.append((begin, end, False))
            made.append(piece)
            length += len(piece)
    if end < len(text):
        at.append(length)
        of.append((end, len(text), True))
        made.append(text[end:])
    return _Read("".join(made), at, of)


def _unescaped(token: str) -> str:
    kind, rest = token[1:2], token[2:]
    if kind in ("x", "u", "U") and rest:
        code = int(rest, 16)
        return chr(code) if code <= 0x10FFFF else "\0"
    if kind.isdigit() and kind.isascii() and kind < "8":
        return chr(int(token[1:], 8) & 0xFF)
    return _SIGNS.get(kind, kind)


def _unquoted(token: str) -> str:
    return " " if token == "+" else chr(int(token[1:], 16))


def _number(token: str) -> str:
    """A byte, where -1 is 255, as of signed bytes; of a greater number a sign that no byte is; of no number nothing."""
    if not token[-1].isdigit() or not token[-1].isascii():
        return ""
    if len(token.lstrip("-0")) > 3:
        return "\u0100"
    value = int(token)
    return chr(value % 256) if -128 <= value <= 255 else "\u0100"


def _base64_sign(token: str) -> str:
    return {"%2b": "+", "%2f": "/"}.get(token.lower(), "")


class Forms:
    """Of secrets: `hide` takes them out of a text, however they are written there."""

    def __init__(self, secrets: Iterable[str], hidden: str) -> None:
        """hidden: what stands in their place."""
        self._hidden = hidden
        raws = {raw for text in secrets for raw in _raws(text)}
        self._texts = sorted({form for raw in raws for form in (*_as_text(raw), *_as_number(raw))})
        self._bytes = sorted({raw.decode("latin-1") for raw in raws})
        self._hex = sorted({raw.hex() for raw in raws})
        self._base64 = sorted({form for raw in raws for form in _as_base64(raw)})

    def __len__(self) -> int:
        return len(self._bytes)

    def hide(self, text: str) -> str:
        pieces, end = [], 0
        for begin, behind in _merged(self._spans(text)):
            pieces += [text[end:begin], self._hidden]
            end = behind
        return "".join([*pieces, text[end:]])

    def _spans(self, text: str) -> Iterator[Span]:
        yield from self._of_text(text, ESCAPED_DEPTH)
        if _has(_hex_of(text), self._hex):
            read = _read(text, _NOT_HEX, lambda token: "")
            yield from map(read.back, _found(read.made.lower(), self._hex))
        dump = _read(text, _OF_DUMP, lambda token: "")
        if len(dump.made) < len(text) and _has(_hex_of(dump.made), self._hex):
            read = _read(dump.made, _NOT_HEX, lambda token: "")
            for begin, end in map(dump.back, map(read.back, _found(read.made.lower(), self._hex))):
                line_end = text.find("\n", end)
                yield begin, len(text) if line_end < 0 else line_end
        if _has(_numbers_of(text), self._bytes):
            read = _read(text, _NUMBER, _number)
            yield from map(read.back, _found(read.made, self._bytes))
        if _has(_base64_of(text), self._base64):
            read = _read(text, _NOT_BASE64, _base64_sign)
            yield from map(read.back, _found(read.made.replace("-", "+").replace("_", "/"), self._base64))

    def _of_text(self, text: str, depth: int) -> Iterator[Span]:
        """As it is, of a URL, and with its escapes undone, again and again."""
        yield from _found(text, self._texts)
        if "%" in text or "+" in text:
            for tokens in (_PERCENT, _PERCENT_ALONE):
                read = _read(text, tokens, _unquoted)
                yield from map(read.back, _found(read.made, self._texts))
        if depth and "\\" in text:
            read = _read(text, _ESCAPE, _unescaped)
            yield from map(read.back, self._of_text(read.made, depth - 1))


def _found(text: str, forms: Iterable[str]) -> Iterator[Span]:
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + len(form))


def _has(text: str, forms: Iterable[str]) -> bool:
    return any(form in text for form in forms)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """In order; those that touch as one."""
    begin = end = -1
    for one in sorted(spans):
        if one[0] > end:
            if end > begin:
                yield begin, end
            begin, end = one
        end = max(end, one[1])
    if end > begin:
        yield begin, end


def _hex_of(text: str) -> str:
    """As that reading, without where it stands."""
    data = text.replace("0x", "").replace("0X", "").encode("ascii", "ignore")
    return data.translate(_HEX_LOWER, _ALL_BUT_HEX).decode()


def _numbers_of(text: str) -> str:
    return "".join(map(_number, re.findall(r"(?<![0-9])-[0-9]+|[0-9]+", text)))


def _base64_of(text: str) -> str:
    return _NOT_BASE64.sub(lambda token: _base64_sign(token[0]), text).replace("-", "+").replace("_", "/")


# ------------------------------------------------------------------------------------------------ of one secret


def _raws(text: str) -> Iterator[bytes]:
    """The bytes that a secret is: its text's, also as a URL means it, and what that stands for as hex or base64; of a
    key pair the seed, too, and how that begins."""
    for said in dict.fromkeys((text, unquote(text))):
        if len(said) >= SHORTEST:
            yield said.encode(errors="surrogatepass")
    for raw in _decoded(text):
        if len(raw) >= KEY_BYTES:
            yield raw
            yield from (raw[:SEED_BYTES], raw[:BEGIN_BYTES])


def _decoded(text: str) -> Iterator[bytes]:
    for decode in (bytes.fromhex, lambda said: base64.b64decode(said, validate=True)):
        try:
            yield decode(text)
        except ValueError:
            continue


def _as_text(raw: bytes) -> Iterator[str]:
    """As text, as what JSON makes of signs outside the basic plane, and byte by byte."""
    yield raw.decode("latin-1")
    try:
        text = raw.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return
    yield text
    pairs = text.encode("utf-16-be", "surrogatepass")
    yield "".join(chr(int.from_bytes(pairs[at : at + 2], "big")) for at in range(0, len(pairs), 2))


def _as_number(raw: bytes) -> Iterator[str]:
    """As one number, of a key: what does not begin with a zero."""
    if KEY_BYTES <= len(raw) <= NUMBER_BYTES_MAX and len(digits := f"{int.from_bytes(raw, 'big'):x}") >= KEY_BYTES:
        yield from (digits, digits.upper(), str(int.from_bytes(raw, "big")))


def _as_base64(raw: bytes) -> Iterator[str]:
    """What stands in base64 whatever stands before it and behind it: by each of the three offsets."""
    for before in range(3):
        begin, end = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        yield base64.b64encode(bytes(before) + raw).decode()[begin:end]
