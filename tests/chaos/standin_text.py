"""What the stand-in answers: a pure function of the last user text and the model (replay/standin_body.h), computed anew.

Each request of a run has a text of its own, so every byte of a reply can be foretold from its request.
"""

from __future__ import annotations

import re

ECHO_BYTES_MAX = 120
WORDS = ("river", "lantern", "copper", "meadow", "signal", "harbour", "violet", "pebble", "thunder", "paper", "orchard",
         "compass", "winter", "needle", "garden", "falcon")
MASK = (1 << 64) - 1


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & MASK


def _rounds(v0: int, v1: int, v2: int, v3: int, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = (v0 + v1) & MASK
        v1 = _rotate(v1, 13) ^ v0
        v0 = _rotate(v0, 32)
        v2 = (v2 + v3) & MASK
        v3 = _rotate(v3, 16) ^ v2
        v0 = (v0 + v3) & MASK
        v3 = _rotate(v3, 21) ^ v0
        v2 = (v2 + v1) & MASK
        v1 = _rotate(v1, 17) ^ v2
        v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def siphash(k0: int, k1: int, data: bytes) -> int:
    """SipHash-2-4, as common/hash.h has it."""
    v0, v1, v2, v3 = (key ^ word for key, word in zip(
        (k0, k1, k0, k1), (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)))
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v0, v1, v2, v3 = _rounds(v0, v1, v2, v3 ^ word, 2)
        v0 ^= word
    v0, v1, v2, v3 = _rounds(v0, v1, v2 ^ 0xFF, v3, 4)
    return v0 ^ v1 ^ v2 ^ v3


def answer(text: str, model: str) -> str:
    """For texts that fit into the echo."""
    echo = re.sub(r"\[\[.*?\]\]", "", text).lstrip(" ")
    assert len(echo.encode()) + 4 <= ECHO_BYTES_MAX, f"too long to be foretold: {text[:40]}"
    first = siphash(0x7374616E64, 0, model.encode())
    bits = siphash(0x7374616E64, first, text.encode())
    words = [WORDS[bits >> 4 * i & 15] for i in range(12)]
    return f"You wrote: {echo} | {model} answers: {' '.join(words)}."
