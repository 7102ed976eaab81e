"""Mutations that keep the wire format: most random changes of a protobuf message are refused by the parser, in C."""

from __future__ import annotations

import random
from typing import Final

VARINTS: Final = (0, 1, 2, 127, 128, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
DEPTH_MAX: Final = 6
Field = tuple[int, int, int | bytes]  # number, wire type, value


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def fields_of(data: bytes) -> list[Field] | None:
    """None: these bytes are no message."""
    found: list[Field] = []
    at = 0
    try:
        while at < len(data):
            key, at = _read_varint(data, at)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value: int | bytes
                value, at = _read_varint(data, at)
            elif wire in (1, 2, 5):
                size, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _read_varint(data, at)
                value, at = data[at : at + size], at + size
                if at > len(data):
                    return None
            else:
                return None
            if not 0 < number < 2**29:
                return None
            found.append((number, wire, value))
    except (IndexError, ValueError):
        return None
    return found


def bytes_of(fields: list[Field]) -> bytes:
    out = bytearray()
    for number, wire, value in fields:
        out += varint(number << 3 | wire)
        if isinstance(value, int):
            out += varint(value)
        else:
            out += (varint(len(value)) if wire == 2 else b"") + value
    return bytes(out)


def mutated(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """One change somewhere in the tree of fields; of bytes that are no message, a change of the bytes."""
    fields = fields_of(data) if depth < DEPTH_MAX else None
    if not fields:
        return _of_bytes(data, rng)
    place = rng.randrange(len(fields))
    number, wire, value = fields[place]
    match rng.randrange(8):
        case 0:
            del fields[place]
        case 1:
            fields.insert(rng.randrange(len(fields) + 1), fields[place])
        case 2:
            fields[place : place + 1] = [fields[place]] * rng.choice((2, 3, 16, 64))
        case 3:
            fields.append((rng.choice((number + 1, number, 15, 2_047)), wire, value))
        case 4:
            other = rng.randrange(len(fields))
            fields[place], fields[other] = fields[other], fields[place]
        case _:
            changed = rng.choice(VARINTS) if isinstance(value, int) else mutated(value, rng, depth + 1)
            fields[place] = (number, wire, changed)
    return bytes_of(fields)


def _of_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    match rng.randrange(4):
        case 0 if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        case 1 if changed:
            del changed[rng.randrange(len(changed)) :]
        case 2:
            changed += rng.randbytes(rng.choice((1, 4, 20, 32, 64)))
        case _:
            changed = bytearray(rng.choice((b"", b"\0", b"\xff" * 20, rng.randbytes(20), rng.randbytes(32))))
    return bytes(changed)
