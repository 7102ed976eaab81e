"""The native part beside the Python that it stands for: the same answers, whatever is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto import native
from crypto.batch import SignatureCache, verify_ed25519, verify_many
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey, Secp256k1PrivKey, ed25519_verify
from tests.support.ed25519 import SMALL, L, of_mixed_order

Check = tuple[bytes, bytes, bytes]

needs_native = pytest.mark.skipif(not native.is_used(), reason=f"the native part is not used here: {native.state()}")


@pytest.fixture(params=["native", "python"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both, where both are there; which one the process has is as before at the end."""
    before = native.is_used()
    native.switch(request.param == "native")
    if native.is_used() != (request.param == "native"):
        pytest.skip(f"the native part is not used here: {native.state()}")
    yield
    native.switch(before)


@lru_cache(maxsize=1)
def pool() -> list[Check]:
    """Checks of all kinds: ordinary ones, what only ZIP-215 accepts, and what is wrong in each of its places."""
    found: list[Check] = []
    keys = [Ed25519PrivKey.from_seed(sha256(bytes([number]))) for number in range(12)]
    for number, key in enumerate(keys):
        message = b"m" * (number * 31)
        public, signature = key.pub_key.bytes, key.sign(message)
        s = int.from_bytes(signature[32:], "little")
        found += [(public, message, signature)] * 4
        found += [
            (public, message + b"!", signature),
            (public, message, signature[:32] + (s + L).to_bytes(32, "little")),
            (public, message, bytes([signature[0] ^ 1]) + signature[1:]),
            (keys[number - 1].pub_key.bytes, message, signature),
        ]
    found += [(a, b"Zcash", r + bytes(32)) for a in SMALL for r in SMALL[::5]]
    found += [(a, b"Zcash", r + bytes([1]) + bytes(31)) for a, r in zip(SMALL, reversed(SMALL), strict=True)]
    for seed in range(4):
        public, signature = of_mixed_order(b"m", seed=seed)
        found += [(public, b"m", signature), (public, b"n", signature)]
    found += [
        (b"\xff" * 32, b"m", bytes(64)),
        (b"\x02" + bytes(31), b"m", bytes(64)),  # no point
        (found[0][0], b"m", b"\x02" + bytes(63)),  # nor is R
        (b"", b"", b""),
        (found[0][0] + b"\x00", found[0][1], found[0][2]),
        (found[0][0], found[0][1], found[0][2][:-1]),
    ]
    return found


@lru_cache(maxsize=512)
def alone(check: Check) -> bool:
    return ed25519_verify(*check)


@needs_native
@given(st.lists(st.sampled_from(range(len(pool()))), max_size=40))
@example(list(range(len(pool()))))
@example(
    [number for number, check in enumerate(pool()) if alone(check)] * 8
)  # more than one batch of all kinds of good ones
def test_a_batch_answers_as_each_check_alone(places: list[int]) -> None:
    checks = [pool()[place] for place in places]
    assert native.verify_batch(checks) == [alone(check) for check in checks]


@needs_native
@pytest.mark.parametrize("size", [1, 2, 3, 4, 32, 33, 256, 1_025])
@pytest.mark.parametrize("bad", [(), (0,), (-1,), (0, -1)])
def test_who_is_bad_is_found_in_batches_of_any_size(size: int, bad: tuple[int, ...]) -> None:
    key = Ed25519PrivKey.from_seed(bytes(32))
    signature = key.sign(b"message")
    checks = [(key.pub_key.bytes, b"message", signature)] * size
    want = [True] * size
    for place in bad:
        checks[place] = (key.pub_key.bytes, b"another", signature)
        want[place] = False
    assert native.verify_batch(checks) == want


@needs_native
def test_what_cancels_out_in_a_plain_sum_is_found() -> None:
    """Two signatures whose s are shifted against each other: a sum without random coefficients would hold."""
    checks = []
    for number, shift in [(1, 1), (2, L - 1), (3, 0), (4, 0)]:
        key = Ed25519PrivKey.from_seed(sha256(bytes([number])))
        signature = key.sign(b"m")
        s = (int.from_bytes(signature[32:], "little") + shift) % L
        checks.append((key.pub_key.bytes, b"m", signature[:32] + s.to_bytes(32, "little")))
    for _ in range(20):
        assert native.verify_batch(checks) == [False, False, True, True]


@needs_native
@pytest.mark.parametrize("wrong", [None, 5, [1], [(b"", b"")], [(b"", "text", b"")], [(b"", None, b"")]])
def test_what_is_no_check_is_our_own_mistake(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        native.verify_batch(wrong)  # type: ignore[arg-type]


@needs_native
def test_other_threads_run_meanwhile() -> None:
    """The interpreter's lock is released: threads verify side by side, and each gets its own answers."""
    answers: dict[int, list[bool]] = {}
    checks = [check for check in pool() if len(check[0]) == 32] * 4

    def run(number: int) -> None:
        answers[number] = native.verify_batch(checks[number:])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [alone(check) for check in checks[number:]] for number in range(4)}


@pytest.mark.usefixtures("way")
def test_every_way_to_ask_gives_one_answer() -> None:
    want = [alone(check) for check in pool()]
    assert verify_ed25519(pool()) == want
    assert verify_ed25519([]) == []
    ed, other = Ed25519PrivKey.from_seed(bytes(32)), Secp256k1PrivKey(sha256(b"k"))
    mixed = [(key.pub_key, b"m", key.sign(message)) for key in (ed, other) for message in (b"m", b"n")]
    assert verify_many(mixed) == [True, False, True, False]
    assert verify_many(mixed[:2]) == verify_many(mixed[2:]) == [True, False]
    cache = SignatureCache()
    for _ in range(2):
        assert cache.verify_many([*mixed, *mixed[:1]]) == [True, False, True, False, True]
        assert len(cache) == 2
    assert cache.verify_many([]) == []


def test_the_switch_says_what_is_used() -> None:
    before = native.is_used()
    native.switch(False)
    assert (native.is_used(), native.state() == "on") == (False, False)
    native.switch(before)
    assert (native.is_used(), native.state() == "on") == (before, before)
