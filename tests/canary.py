"""Looks for a key in whatever a program has left behind, in every form that it might have taken there.

    for leak in canary.scan({"log": log, "metrics": metrics}, key):
        print(leak.sink, leak.encoding, leak.at)

Found are: the key; its first 12 and its last 8 characters; base64 of both alphabets at each of three places in its
group; hexadecimal digits of both cases; URL-encoded and JSON-escaped text, of all or only some characters, escaped more
than once; the key in reverse; in UTF-16; and all of these inside gzip and zlib streams.

`ENCODINGS` makes those forms, for planting them. A key that is to be found by its ends should not share them with
anything else: `make_key()`.
"""

from __future__ import annotations

import base64
import gzip
import re
import secrets
import string
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

FIRST, LAST = 12, 8
UNESCAPED_MAX = 4  # times that text may have been escaped
UNPACKED_MAX = 1 << 24  # bytes of one compressed stream
PIECE = 1 << 16  # bytes of a stream that are unpacked at once
DEPTH_MAX = 3  # streams in streams
PREFIX = b"sk-or-v1-"


def make_key() -> str:
    """Like a real one, but with characters in its middle that URLs, JSON and base64 treat in ways of their own: three
    question marks are a slash in base64, wherever they stand in their group."""
    letters = string.ascii_letters + string.digits
    body = "".join(secrets.choice(letters) for _ in range(40))
    return f"sk-or-v1-{body[:16]}/+\"\\~???{body[16:]}"


def _base64(shift: int, is_url: bool) -> Callable[[bytes], bytes]:
    encode = base64.urlsafe_b64encode if is_url else base64.b64encode
    return lambda key: encode(b"-" * shift + key)


def _json_all(key: bytes) -> bytes:
    return b"".join(b"\\u%04x" % one for one in key)


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda key: key,
    "first 12": lambda key: key[:FIRST],
    "last 8": lambda key: key[-LAST:],
    "base64 +0": _base64(0, False),
    "base64 +1": _base64(1, False),
    "base64 +2": _base64(2, False),
    "base64url +0": _base64(0, True),
    "base64url +1": _base64(1, True),
    "base64url +2": _base64(2, True),
    "hex": lambda key: key.hex().encode(),
    "HEX": lambda key: key.hex().upper().encode(),
    "url": lambda key: urllib.parse.quote(key, safe="").encode(),
    "url, all": lambda key: b"".join(b"%%%02X" % one for one in key),
    "json": lambda key: key.replace(b"\\", b"\\\\").replace(b'"', b'\\"'),
    "json, all": _json_all,
    "json twice": lambda key: _json_all(key).replace(b"\\", b"\\\\"),
    "reversed": lambda key: key[::-1],
    "UTF-16LE": lambda key: key.decode().encode("utf-16-le"),
    "UTF-16BE": lambda key: key.decode().encode("utf-16-be"),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
}


@dataclass(frozen=True)
class Leak:
    sink: str
    encoding: str
    at: int  # in the sink, or in what was unpacked or unescaped there


def _base64_patterns(key: bytes) -> Iterator[tuple[str, bytes]]:
    """The digits that depend on the key alone, whatever is before and behind it."""
    for shift in range(3):
        first, end = (shift * 8 + 5) // 6, (shift + len(key)) * 8 // 6
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            yield f"{name} +{shift}", encode(b"\0" * shift + key + b"\0\0")[first:end]


def patterns(key: str) -> dict[str, bytes]:
    """What is searched for as it is. The same bytes come once, under their first name."""
    plain = key.encode()
    found = {"raw": plain, **dict(_base64_patterns(plain))}
    for name in ("hex", "HEX", "reversed", "UTF-16LE", "UTF-16BE", "first 12", "last 8"):
        found[name] = ENCODINGS[name](plain)
    names: dict[bytes, str] = {}
    for name, pattern in found.items():
        names.setdefault(pattern, name)
    return {name: pattern for pattern, name in names.items()}


_JSON_ESCAPE = re.compile(rb'\\(?:u00([0-9a-fA-F]{2})|(["\\/]))')
_URL_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")


def _unescape_json(data: bytes) -> bytes:
    return _JSON_ESCAPE.sub(lambda hit: bytes.fromhex(hit[1].decode()) if hit[1] else hit[2], data)


def _unescape_url(data: bytes) -> bytes:
    return _URL_ESCAPE.sub(lambda hit: bytes.fromhex(hit[1].decode()), data)


def _unescaped(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The text as it was before it was escaped, once or several times."""
    for name, mark, undo in (("json", b"\\", _unescape_json), ("url", b"%", _unescape_url)):
        text = data
        for _ in range(UNESCAPED_MAX):
            if mark not in text:
                break
            before, text = text, undo(text)
            if before == text:
                break
            yield name, text


_PACKED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")


def _unpack(data: memoryview, is_gzip: bool) -> bytes:
    """One stream, also when it breaks off; nothing when there is none. In pieces: most beginnings are none, and end soon."""
    stream = zlib.decompressobj(31 if is_gzip else 15)
    text = bytearray()
    for at in range(0, len(data), PIECE):
        try:
            text += stream.decompress(data[at : at + PIECE], UNPACKED_MAX - len(text))
        except zlib.error:
            return b""
        if stream.eof or len(text) >= UNPACKED_MAX:
            break
    return bytes(text)


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What gzip and zlib streams hold, wherever in the data they begin."""
    for hit in _PACKED.finditer(data):
        is_gzip = data[hit.start()] == 0x1F
        if text := _unpack(memoryview(data)[hit.start() :], is_gzip):
            yield "gzip" if is_gzip else "zlib", text


def _find_plain(data: bytes, key: str) -> Iterator[tuple[str, int]]:
    whole = key.encode()
    for name, pattern in patterns(key).items():
        at = data.find(pattern)
        while at >= 0 and name in ("first 12", "last 8") and whole in data[max(0, at - len(whole)) : at + len(whole)]:
            at = data.find(pattern, at + len(whole))  # a part of the whole key, which has its own name
        if at >= 0:
            yield name, at


def find_plain(data: bytes, key: str) -> list[tuple[str, int]]:
    """As find(), but not what is compressed or escaped: for memory, of which there is much."""
    return sorted(dict(reversed(list(_find_plain(data, key)))).items())


def find(data: bytes, key: str, depth: int = 0) -> list[tuple[str, int]]:
    """Encoding and place of each form of the key in the data; one place for each encoding."""
    found = dict(find_plain(data, key))
    whole = key.encode()
    for name, text in _unescaped(data):
        if text.count(whole) > data.count(whole):
            found.setdefault(name, text.find(whole))
    if depth < DEPTH_MAX:
        for name, text in _unpacked(data):
            for inner, at in find(text, key, depth + 1):
                found.setdefault(name if inner == "raw" else f"{name}: {inner}", at)
    return sorted(found.items())


def scan(sinks: Mapping[str, bytes], key: str) -> list[Leak]:
    """All leaks in all sinks."""
    return [Leak(sink, encoding, at) for sink, data in sinks.items() for encoding, at in find(data, key)]


def family(encoding: str) -> str:
    """What an encoding of ENCODINGS is found as: escapes are not told apart by how much they escape."""
    return encoding.partition(",")[0].removesuffix(" twice")
