"""STROBE-128 over Keccak-f[1600], as far as Merlin needs it: meta-AD, AD and PRF.

Pure and slow (about half a millisecond a permutation): the network runs it a handful of times per handshake.
Source: STROBE 1.0.2 (strobe.sourceforge.io/specs), FIPS 202 for the permutation.
"""

from __future__ import annotations

RATE_BYTES = 166  # STROBE-128: 200 - 2 * 128 / 8 - 2
_STATE_BYTES = 200
_MASK = (1 << 64) - 1

_FLAG_A, _FLAG_C, _FLAG_K = 2, 4, 32
META_AD, AD, PRF = 18, 2, 7

_ROUND_CONSTANTS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
    0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip


def _rho_pi() -> tuple[tuple[int, int, int], ...]:
    """(source lane, target lane, rotation) of the combined rho and pi steps; lane x + 5y."""
    x, y, steps = 1, 0, []
    steps.append((0, 0, 0))
    for t in range(24):
        target = (y, (2 * x + 3 * y) % 5)
        steps.append((x + 5 * y, target[0] + 5 * target[1], ((t + 1) * (t + 2) // 2) % 64))
        x, y = target
    return tuple(steps)


_RHO_PI = _rho_pi()


def keccak_f1600(state: bytearray) -> None:
    """Permute the 200 bytes of `state` in place. Source: FIPS 202, section 3."""
    assert len(state) == _STATE_BYTES, len(state)
    lanes = [int.from_bytes(state[8 * i : 8 * i + 8], "little") for i in range(25)]
    moved = [0] * 25
    for constant in _ROUND_CONSTANTS:
        c = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        d = [c[x - 1] ^ ((c[(x + 1) % 5] << 1 | c[(x + 1) % 5] >> 63) & _MASK) for x in range(5)]
        for source, target, rotation in _RHO_PI:
            lane = lanes[source] ^ d[source % 5]
            moved[target] = (lane << rotation | lane >> (64 - rotation)) & _MASK
        for row in range(0, 25, 5):
            a, b, e, f, g = moved[row : row + 5]
            lanes[row] = a ^ (~b & e)
            lanes[row + 1] = b ^ (~e & f)
            lanes[row + 2] = e ^ (~f & g)
            lanes[row + 3] = f ^ (~g & a)
            lanes[row + 4] = g ^ (~a & b)
        lanes[0] ^= constant
    state[:] = b"".join((lane & _MASK).to_bytes(8, "little") for lane in lanes)


class Strobe128:
    """One STROBE-128 object. Operations follow each other; `more` continues the one before."""

    __slots__ = ("_begin", "_flags", "_pos", "_state")

    def __init__(self, protocol_label: bytes) -> None:
        self._state = bytearray(_STATE_BYTES)
        self._state[:18] = bytes((1, RATE_BYTES + 2, 1, 0, 1, 96)) + b"STROBEv1.0.2"
        keccak_f1600(self._state)
        self._pos = 0
        self._begin = 0
        self._flags = 0
        self.meta_ad(protocol_label)

    def copy(self) -> Strobe128:
        twin = object.__new__(Strobe128)
        twin._state = bytearray(self._state)
        twin._pos, twin._begin, twin._flags = self._pos, self._begin, self._flags
        return twin

    def meta_ad(self, data: bytes, *, more: bool = False) -> None:
        self._start(META_AD, more=more)
        self._absorb(data)

    def ad(self, data: bytes, *, more: bool = False) -> None:
        self._start(AD, more=more)
        self._absorb(data)

    def prf(self, size: int) -> bytes:
        """Return `size` pseudo-random bytes that depend on everything absorbed before."""
        self._start(PRF, more=False)
        out = bytearray()
        for _ in range(size):
            out.append(self._state[self._pos])
            self._state[self._pos] = 0
            self._advance()
        return bytes(out)

    def _start(self, flags: int, *, more: bool) -> None:
        if more:
            assert flags == self._flags, (flags, self._flags)  # only the running operation can go on
            return
        old_begin = self._begin
        self._begin = self._pos + 1
        self._flags = flags
        self._absorb(bytes((old_begin, flags)))
        if flags & (_FLAG_C | _FLAG_K) and self._pos:
            self._run_f()

    def _absorb(self, data: bytes) -> None:
        for byte in data:
            self._state[self._pos] ^= byte
            self._advance()

    def _advance(self) -> None:
        self._pos += 1
        if self._pos == RATE_BYTES:
            self._run_f()

    def _run_f(self) -> None:
        self._state[self._pos] ^= self._begin
        self._state[self._pos + 1] ^= 0x04
        self._state[RATE_BYTES + 1] ^= 0x80
        keccak_f1600(self._state)
        self._pos = self._begin = 0
