"""Bit arrays: which parts, or whose votes, somebody has.

A size and an integer mask, bit i for index i. On the wire: the size, and 64-bit words, lowest first.
Source: CometBFT v0.38, libs/bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from consensus.formats.errors import InvalidBits
from proto.tendermint.libs.bits import types_pb2 as pb

BITS_MAX: Final = 10_000  # votes of the largest validator set; a block has at most 1,601 parts
_WORD: Final = 64
_WORD_MASK: Final = 2**_WORD - 1


@dataclass(frozen=True, slots=True)
class BitArray:
    """`size` bits. The mask has none at or above `size`."""

    size: int
    mask: int = 0

    def __post_init__(self) -> None:
        assert self.size >= 0, self.size
        assert 0 <= self.mask < 1 << self.size, (self.mask, self.size)

    @staticmethod
    def of(size: int, indices: Iterable[int]) -> BitArray:
        mask = 0
        for index in indices:
            mask |= 1 << index
        return BitArray(size, mask)

    @staticmethod
    def full(size: int) -> BitArray:
        return BitArray(size, (1 << size) - 1)

    def __contains__(self, index: int) -> bool:
        return index >= 0 and bool(self.mask >> index & 1)

    def __iter__(self) -> Iterator[int]:
        """The indices that are set, ascending."""
        mask = self.mask
        while mask:
            lowest = mask & -mask
            yield lowest.bit_length() - 1
            mask ^= lowest

    def __len__(self) -> int:
        """How many are set."""
        return self.mask.bit_count()

    def __bool__(self) -> bool:
        return bool(self.mask)

    @property
    def is_full(self) -> bool:
        return self.mask == (1 << self.size) - 1

    def __or__(self, other: BitArray) -> BitArray:
        """Of the larger size."""
        return BitArray(max(self.size, other.size), self.mask | other.mask)

    def __and__(self, other: BitArray) -> BitArray:
        """Of the smaller size."""
        return BitArray(min(self.size, other.size), self.mask & other.mask)

    def __sub__(self, other: BitArray) -> BitArray:
        """What is set here and not there; of this one's size."""
        return BitArray(self.size, self.mask & ~other.mask)

    def __str__(self) -> str:
        return "".join("x" if index in self else "_" for index in range(self.size))

    def to_proto(self) -> pb.BitArray:
        words = [self.mask >> start & _WORD_MASK for start in range(0, self.size, _WORD)]
        return pb.BitArray(bits=self.size, elems=words)

    @staticmethod
    def from_proto(message: pb.BitArray) -> BitArray:
        """Raises InvalidBits when size and words contradict each other. Bits past the size are cleared."""
        size, words = message.bits, message.elems
        if not 0 <= size <= BITS_MAX:
            raise InvalidBits(f"bit array has {size} bits; allowed: 0 to {BITS_MAX}")
        expected = (size + _WORD - 1) // _WORD
        if len(words) != expected:
            raise InvalidBits(f"bit array of {size} bits has {len(words)} words, expected {expected}")
        mask = 0
        for position, word in enumerate(words):
            mask |= word << _WORD * position
        return BitArray(size, mask & (1 << size) - 1)
