"""How a file is damaged: by chance, as disks and networks do, and by intent, as a header that lies."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence

Damage = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    b"0", b"-1", b"1", b"2", b"3", b"17", b"39", b"255", b"256", b"65536", b"2147483647", b"-2147483648",
    b"4294967297", b"99999999999999999999", b"1e9", b"1e38", b"1e308", b"1e400", b"-1e-320", b"nan", b"inf",
    b"-inf", b"0.5", b"1,5", b"0x10", b"1_0", b"", b" ", b"%s%n%x", b"%05d", b"none", b"A" * 40, b"7" * 5000,
)  # fmt: skip
INTEGERS = (0, -1, 1, 2, 3, 4, 7, 8, 16, 39, 127, 255, 256, 348, 352, 540, 32767, -32768)  # fit "<h"
REALS = (0.0, -1.0, 1.0, 0.5, 2.0, 10.0, -10.0, 300.0, 348.0, 1e-9, 1e9, 1e30, float("nan"), float("inf"))


def flip(rng: random.Random, data: bytes) -> bytes:
    """One to four bits turned round."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(rng: random.Random, data: bytes) -> bytes:
    """The rest is missing: much of it, or the last bytes."""
    return data[: rng.choice((rng.randrange(len(data)), len(data) - rng.randint(1, 16)))]


def lose(rng: random.Random, data: bytes) -> bytes:
    """A piece is missing in the middle."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 2, 4, 64, 512)) :]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """A piece comes twice."""
    at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 64, 512))
    return data[: at + length] + data[at:]


def blank(rng: random.Random, data: bytes) -> bytes:
    """A block of zeros, as of a disk that lost it."""
    at, length = rng.randrange(len(data)), rng.choice((1, 4, 64, 512))
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def append(rng: random.Random, data: bytes) -> bytes:
    """Something stands behind the end."""
    return data + rng.choice((b"\0", b"\n", bytes(16), bytes(512), rng.randbytes(64), data))


BY_CHANCE: Sequence[Damage] = (flip, flip, flip, cut, lose, repeat, blank, append)


def number(rng: random.Random, text: bytes) -> bytes:
    """One number of a text is another one, or none."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?", text))
    if not found:
        return flip(rng, text)
    hit = rng.choice(found)
    return text[: hit.start()] + rng.choice(NUMBERS) + text[hit.end() :]


def word(rng: random.Random, text: bytes) -> bytes:
    """One word of a text is another one of it."""
    found = list(re.finditer(rb"[\w-]+", text))
    if len(found) < 2:
        return flip(rng, text)
    hit, other = rng.choice(found), rng.choice(found)
    return text[: hit.start()] + other[0] + text[hit.end() :]


def line(rng: random.Random, text: bytes) -> bytes:
    """A line is missing, comes twice, stands elsewhere, or is very long."""
    lines = text.splitlines(keepends=True)
    taken = lines.pop(rng.randrange(len(lines)))
    at = rng.randrange(len(lines) + 1)
    lines[at:at] = rng.choice(([], [taken], [taken, taken], [taken.rstrip() + b"x" * 3000 + b"\n"]))
    return b"".join(lines)


IN_TEXT: Sequence[Damage] = (number, number, number, word, line, line)


def in_head(length: int, damages: Sequence[Damage]) -> Damage:
    """The same damages within the first bytes alone."""

    def damage(rng: random.Random, data: bytes) -> bytes:
        return rng.choice(damages)(rng, data[:length]) + data[length:]

    return damage


def field(places: Sequence[tuple[int, str]]) -> Damage:
    """One field of a binary header gets another value. places: offset and kind, as in struct."""

    def damage(rng: random.Random, data: bytes) -> bytes:
        at, kind = rng.choice(places)
        damaged = bytearray(data)
        if kind[-1] in "fd":
            value: float = rng.choice((*REALS, *(-real for real in REALS)))
            value = min(max(value, -3e38), 3e38) if abs(value) < float("inf") else value
        else:
            value = rng.choice([n for n in INTEGERS if n >= 0] if kind[-1].isupper() else INTEGERS)
        struct.pack_into(kind, damaged, at, value if kind != "<B" else value % 256)
        return bytes(damaged)

    return damage
