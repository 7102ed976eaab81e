"""What may lie beside the trees, kind by kind: form of key and content, and laws that no machine states by itself.

No root covers these entries, so a restored state is held against this table and the machines' invariants: an entry of a
kind that is not here, or of another form, is refused. Which kinds there are, and what each is, says docs/state.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from chain.chat.channels import due
from chain.chat.channels.records import BY_MEMBER, CHANNEL, MEMBER
from chain.kernel.branch import SPACES, Base
from chain.upgrade.plan import VERSIONS
from crypto.hash import ADDRESS_BYTES, HASH_BYTES

NUMBER, ADDRESS, HASH = 8, ADDRESS_BYTES, HASH_BYTES  # a number is 8 bytes: a height, a time in ns, a count
NAME_MAX: Final = 64  # of what people name: a reference
MARK: Final = b"\x01"
MEMBERSHIPS_VERSION: Final = 3  # of the module chat: from the upgrade `memberships` on each is indexed


class Form(NamedTuple):
    """keys: bytes of a key after its prefix, the least and the most. is_content: of the stored bytes."""

    keys: tuple[int, int]
    is_content: Callable[[bytes], bool]


def _is_mark(content: bytes) -> bool:
    return content == MARK


def _any(content: bytes) -> bool:
    """A law of its machine says what it is, to the byte."""
    return True


def _of(size: int) -> Callable[[bytes], bool]:
    return lambda content: len(content) == size


def _signers(content: bytes) -> bool:
    return len(content) > 0 and len(content) % ADDRESS == 0


def _index(*parts: int, more: int = 0) -> Form:
    """An entry that is there, or not: a key of so many bytes, `more`: of a name at its end."""
    return Form((sum(parts), sum(parts) + more), _is_mark)


HEAD: Final = Form((0, 0), _of(NUMBER))
COUNT: Final = Form((0, 0), _of(NUMBER))
FORMS: Final[Mapping[bytes, Form]] = {
    b"Ua": _index(ADDRESS, ADDRESS, more=NAME_MAX),
    b"Ub": _index(NUMBER, ADDRESS),
    b"Ud": _index(ADDRESS, ADDRESS),
    b"Ue": _index(ADDRESS, ADDRESS, ADDRESS),
    b"Uf": _index(ADDRESS, ADDRESS),
    b"Ug": _index(NUMBER, ADDRESS, ADDRESS),
    b"Uh": Form((2, 2), _of(NUMBER)),
    b"Ui": Form((2 * ADDRESS, 2 * ADDRESS), _of(4)),
    b"Uj": _index(ADDRESS, ADDRESS, more=NAME_MAX),
    b"Uk": _index(ADDRESS, ADDRESS, NUMBER),
    b"UK": Form((ADDRESS, ADDRESS), _any),
    b"UN": Form((ADDRESS, ADDRESS), _of(4)),
    b"UO": _index(NUMBER, ADDRESS, more=NAME_MAX),
    b"Up": _index(NUMBER, ADDRESS),
    b"UP": _index(ADDRESS, ADDRESS, more=NAME_MAX),
    b"Uq": _index(NUMBER, ADDRESS, ADDRESS),
    b"Ur": Form((NUMBER + HASH, NUMBER + HASH), _of(NUMBER)),
    b"Us": _index(),
    b"Ut": _index(NUMBER, ADDRESS, more=NAME_MAX),
    b"Uu": _index(ADDRESS, ADDRESS),
    b"Uv": _index(NUMBER, ADDRESS),
    b"Uw": _index(NUMBER, ADDRESS, ADDRESS, ADDRESS),
    b"Ux": _index(ADDRESS, NUMBER, ADDRESS),
    b"Uy": _index(ADDRESS, NUMBER, ADDRESS, ADDRESS),
    b"Uz": _index(NUMBER, ADDRESS, ADDRESS, more=NAME_MAX),
    b"Cd": _index(NUMBER, 1, ADDRESS, more=HASH + NAME_MAX),
    b"Ce": Form((ADDRESS, ADDRESS), _of(NUMBER)),
    b"Cm": Form((ADDRESS + NUMBER, ADDRESS + NUMBER), _any),
    b"CM": _index(ADDRESS, ADDRESS),
    b"Cn": Form((ADDRESS + 1, ADDRESS + NAME_MAX), _of(HASH)),
    b"Cr": Form((NUMBER + HASH, NUMBER + HASH), _of(NUMBER)),
    b"Cs": _index(ADDRESS, NUMBER, more=NAME_MAX),
    b"Ba": HEAD,
    b"BA": _index(NUMBER, ADDRESS, more=HASH + NAME_MAX),
    b"Be": HEAD,
    b"BE": _index(NUMBER, HASH),
    b"Bg": HEAD,
    b"BG": _index(NUMBER, 1, ADDRESS, more=ADDRESS),
    b"Bh": _index(NUMBER, NUMBER),
    b"BH": HEAD,
    b"Bi": _index(NUMBER, NUMBER),
    b"Bj": Form((10, 10), _any),
    b"BJ": COUNT,
    b"Bo": HEAD,
    b"BO": _index(NUMBER, ADDRESS),
    b"BP": _index(ADDRESS, HASH),
    b"Bq": Form((NUMBER + HASH, NUMBER + HASH), _signers),
    b"Br": Form((NUMBER + HASH, NUMBER + HASH), _of(NUMBER)),
    b"BR": _index(ADDRESS, NUMBER, HASH),
    b"Bw": _index(NUMBER, NUMBER, NUMBER),
    b"BW": COUNT,
}
QUEUES: Final = frozenset({b"Ub", b"Ug", b"UO", b"Uq", b"Ut", b"Uv", b"Uw", b"Uz"})  # whose heads lie under Uh
KINDS: Final = frozenset(
    {due.MEMBERSHIP, due.BAN, due.INVITATION, due.BODY, due.IDENTITY, due.ENDED, due.REPORT, due.REACTIONS}
)


def laws(base: Base) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures), of a state whose trees have their roots."""
    for tag, (store, beside) in SPACES.items():
        if beside:
            wrong = next((key for key, content in base.scan(bytes([tag])) if not _is_known(key, content)), None)
            told = "none" if wrong is None else wrong.hex()
            yield f"beside the tree of {store} lies nothing but what is known, in its form", wrong is None, told
    heads = {key[len(b"Uh") :] for key, _ in base.scan(b"Uh")}
    yield "heads are of queues", heads <= QUEUES, f"others: {sorted(heads - QUEUES)}"
    yield from _memberships(base)
    yield _of_channels(base)


def _is_known(key: bytes, content: bytes) -> bool:
    form = FORMS.get(key[:2])
    return form is not None and form.keys[0] <= len(key) - 2 <= form.keys[1] and form.is_content(content)


def _memberships(base: Base) -> Iterator[tuple[str, bool, str]]:
    """Of a chain that has carried out the upgrade which indexed those that were there."""
    versions = base.get(VERSIONS)
    if versions is None or dict(versions.of).get("chat", 0) < MEMBERSHIPS_VERSION:
        return
    size = len(MEMBER)
    expected = {key[size + ADDRESS :] + key[size : size + ADDRESS] for key, _ in base.scan(MEMBER)}
    found = {key[len(BY_MEMBER) :] for key, _ in base.scan(BY_MEMBER)}
    detail = f"{len(found)} found, {len(expected)} members"
    yield "chat: each member is found as one, and nobody else", found == expected, detail


def _of_channels(base: Base) -> tuple[str, bool, str]:
    """What waits in the chat store is of a known kind; but for burners, of a channel that is there: they never go."""
    at = len(due.QUEUE) + due.TIME_BYTES
    wrong = 0
    for key, _ in base.scan(due.QUEUE):
        kind, item = key[at : at + 1], key[at + 1 :]
        is_of_burner = kind in (due.IDENTITY, due.ENDED)
        wrong += kind not in KINDS or not (is_of_burner or base.get(CHANNEL + item[:ADDRESS]) is not None)
    return "chat: what waits is of channels and burners", not wrong, f"{wrong} items are not"
