"""Points of Curve25519 by the textbook, for signatures that no library would make."""

from __future__ import annotations

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P
    return x, y


def decompress(y: int) -> tuple[int, int] | None:
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x, y % P) if x * x % P == xx else None


def multiply(point: tuple[int, int], scalar: int) -> tuple[int, int]:
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def small_order_encodings() -> list[bytes]:
    """Every 32-byte string that ZIP-215 reads as a point of order 1, 2, 4 or 8, canonical or not: 14 of them."""
    y, generator = 2, (0, 1)
    while multiply(generator, 4) == (0, 1):
        point = decompress(y)
        generator = multiply(point, L) if point else generator
        y += 1
    encodings = set()
    for k in range(8):
        x, y = multiply(generator, k)
        for value in (y, y + P):
            for sign in (0, 1):
                if value < 2**255 and (x & 1 == sign or x == 0):
                    encodings.add((value | sign << 255).to_bytes(32, "little"))
    return sorted(encodings)


def of_mixed_order(message: bytes, *, seed: int = 0, torsion_y: int = 0) -> tuple[bytes, bytes]:
    """(public key, signature) whose R is shifted by a point of small order: the cofactored equation holds.

    torsion_y: of that point; 0 has order 4.
    """
    a = int.from_bytes(hashlib.sha512(b"mixed%d" % seed).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254
    base = decompress(4 * pow(5, P - 2, P) % P)
    assert base is not None
    if base[0] & 1:
        base = (P - base[0], base[1])
    encode = lambda q: (q[1] | (q[0] & 1) << 255).to_bytes(32, "little")  # noqa: E731
    public = encode(multiply(base, a))
    nonce = 123456789 + seed
    torsion = decompress(torsion_y)
    assert torsion is not None
    shifted = encode(add(multiply(base, nonce), torsion))
    k = int.from_bytes(hashlib.sha512(shifted + public + message).digest(), "little")
    return public, shifted + ((nonce + k * a) % L).to_bytes(32, "little")


SMALL = small_order_encodings()
