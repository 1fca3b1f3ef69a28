"""The scanner that the searches for the key rely on: it finds every form, and nothing where there is none."""

from __future__ import annotations

import gzip
import json
import random
import urllib.parse
import zlib

import canary
import pytest

KEYS = ["sk-or-v1-" + "0123456789abcdef" * 4, canary.make_key()]


@pytest.mark.parametrize("key", KEYS, ids=["plain", "awkward"])
@pytest.mark.parametrize("encoding", canary.ENCODINGS)
def test_scanner_finds_each_encoding_in_the_midst_of_other_text(encoding, key):
    planted = canary.ENCODINGS[encoding](key.encode())
    noise = random.Random(1).randbytes(5000)
    found = [name for name, _ in canary.find(noise + b" before " + planted + b" behind " + noise, key)]
    same = {"url": "raw", "json": "raw"} if encoding in ("url", "json") and planted == key.encode() else {}
    family = canary.family(encoding)
    assert same.get(family, family) in found or (encoding.startswith("base64url") and encoding.replace("url", "") in found)


@pytest.mark.parametrize("key", KEYS, ids=["plain", "awkward"])
def test_scanner_tells_the_place(key):
    assert canary.find(b"x" * 1000 + key.encode() + b"y", key) == [("raw", 1000)]
    assert canary.find(b"x" * 70 + key[:12].encode() + b"...", key) == [("first 12", 70)]
    leak, = canary.scan({"empty": b"", "log": b"..." + key[-8:].encode()}, key)
    assert leak == canary.Leak("log", "last 8", 3)


def test_scanner_finds_parts_beside_the_whole():
    key = KEYS[0]
    data = f"{key} and {key[:12]}... and ...{key[-8:]}".encode()
    assert {name for name, _ in canary.find(data, key)} == {"raw", "first 12", "last 8"}


@pytest.mark.parametrize("wrap", [
    lambda text: json.dumps({"a": json.dumps({"b": json.dumps([text])})}),
    lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    lambda text: "".join(f"\\u{ord(each):04X}" if number % 3 else each for number, each in enumerate(text)),
    lambda text: "".join(f"%{ord(each):02x}" if number % 3 else each for number, each in enumerate(text)),
])
@pytest.mark.parametrize("key", KEYS, ids=["plain", "awkward"])
def test_scanner_finds_escapes_of_some_characters_and_escapes_of_escapes(key, wrap):
    assert canary.find(("log " + wrap(key) + " end").encode(), key)


def test_scanner_looks_into_streams_in_streams_and_streams_that_break_off():
    key = KEYS[1]
    inner = b"Authorization: Bearer " + key.encode()
    assert canary.find(b"??" + gzip.compress(zlib.compress(inner)) + b"??", key)
    packed = gzip.compress(inner + random.Random(2).randbytes(4000))
    assert canary.find(packed[:-1000], key)
    encoded = canary.ENCODINGS["base64 +1"](key.encode())
    assert [name for name, _ in canary.find(zlib.compress(b"a" * 100 + encoded), key)] == ["zlib: base64 +1"]


@pytest.mark.parametrize("key", KEYS, ids=["plain", "awkward"])
def test_scanner_finds_nothing_where_nothing_is(key):
    noise = random.Random(3).randbytes(300_000)
    texts = [b"", noise, gzip.compress(noise), b"sk-or-v1-" * 100, key[9:16].encode(), b"\\u00", b"%", b"\x1f\x8b\x08",
             json.dumps({"key": "sk-or-v1-other"}).encode()]
    assert canary.scan({str(number): text for number, text in enumerate(texts)}, key) == []
