"""Text from outside, before it reaches a terminal: titles, monikers, memos, messages, reasons.

Control characters move the cursor, rewrite what was said before and start escape sequences; bidi controls show text in
another order than it has; both are shown as what they are, `\\u001b`. Everything else stays readable in its own script.
The escapes are JSON's: in a JSON document they stand inside of strings, and mean the same.
"""

from __future__ import annotations

import re
from typing import Final

# C0 without tab and newline, DEL and C1; soft hyphen; Arabic letter mark, zero-width space, directional marks, line and
# paragraph separators, bidi embeddings, overrides and isolates, invisible operators; byte order mark; interlinear
# marks; surrogates (bytes that were none of UTF-8); tags. Joiners stay: scripts and emoji need them.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_BREAKS: Final = re.compile("[\t\n]")
HEX_CHARS_MAX: Final = 160  # an Ed25519 signature has 128; a key of ML-DSA-65 would fill 48 lines
HEX_CHARS_BEGIN: Final = 32
_TO_LAST_AT: Final = re.compile(r"(?<!\S)\S+@")  # of a word: looked for once in each, however many schemes are in it
_USERINFO: Final = re.compile(r"(://)(?![0-9a-fA-F]{40}@).*@")
_USERINFO_OF_ONE: Final = re.compile(r"\A([^@]*?://|(?=[^@/]*:))(?![0-9a-fA-F]{40}@).*@", re.DOTALL)
ESCAPES: Final = {"\t": "\\t", "\n": "\\n"}


def safe(text: str) -> str:
    """`text` for a terminal; tabs and newlines stay, as in a document of ours."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escaped, text)


def safe_line(text: str) -> str:
    """`text` as one line: nothing in it begins another one."""
    return _LINE_BREAKS.sub(lambda found: ESCAPES[found[0]], safe(text))


def short_hex(digits: str) -> str:
    """Long hex for a person, with how to have all of it; what people compare (hashes, keys, signatures) stays whole."""
    if len(digits) <= HEX_CHARS_MAX:
        return digits
    return f"{digits[:HEX_CHARS_BEGIN]}… ({len(digits) // 2:,} bytes; whole: | cat)"


def without_userinfo(text: str) -> str:
    """`text` with what stands before the host of its URLs hidden, which is often a password. A node's id stays: that is
    how peers are named."""
    return _TO_LAST_AT.sub(lambda word: _USERINFO.sub(r"\1***@", word[0]), text) if "@" in text else text


def value_without_userinfo(value: str) -> str:
    """As `without_userinfo`, of a value that is one URL or address, also one that is written wrongly."""
    return _USERINFO_OF_ONE.sub(r"\1***@", value) if "@" in value else value


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
