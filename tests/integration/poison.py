"""Requests as nobody should send them, made by chance from a seed: for tests of the whole worker.

The valid ones that they are made of, and that are cut short, are those of schemas/vectors. What is made here may by chance
still be a good request; only where it cannot be, the item says so.
"""

from __future__ import annotations

import importlib.util
import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import harness
import msgpack

MSGPACK_TYPE, JSON_TYPE = b"application/vnd.msgpack", b"application/json"
# What is larger is no longer mutated byte by byte, nor cut at every byte.
SMALL = 1200


@dataclass
class Poison:
    kind: str
    value: bytes | None
    key: bytes | None = b"poison"
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    reasons: tuple[str, ...] = ()  # it cannot be accepted, and this is why; empty = it may be good

    def __str__(self) -> str:
        shown = self.value if self.value is None else self.value[:120]
        return f"{self.kind}: key {self.key!r:.60} headers {self.headers!r:.200} value {shown!r}"


@dataclass
class Raw:
    """Bytes of the coding itself, in the place of a value."""

    data: bytes


@dataclass
class Pairs:
    """A map whose keys may be anything, and be there twice."""

    pairs: list[tuple[Any, Any]]


def pairs_of(node: Any) -> list[tuple[Any, Any]] | None:
    return node.pairs if isinstance(node, Pairs) else list(node.items()) if isinstance(node, dict) else None


def pack(node: Any) -> bytes:
    if isinstance(node, Raw):
        return node.data
    if (pairs := pairs_of(node)) is not None:
        return msgpack.Packer().pack_map_header(len(pairs)) + b"".join(pack(key) + pack(value) for key, value in pairs)
    if isinstance(node, list):
        return msgpack.Packer().pack_array_header(len(node)) + b"".join(map(pack, node))
    if isinstance(node, str):
        # A surrogate becomes the bytes that are none of UTF-8's.
        data = node.encode("utf-8", "surrogatepass")
        return struct.pack(">BI", 0xDB, len(data)) + data
    return msgpack.packb(node)


def text(node: Any) -> bytes:
    if isinstance(node, Raw):
        return node.data
    if (pairs := pairs_of(node)) is not None:
        return b"{" + b",".join(text(key) + b":" + text(value) for key, value in pairs) + b"}"
    if isinstance(node, list):
        return b"[" + b",".join(map(text, node)) + b"]"
    if isinstance(node, bytes | msgpack.ExtType | msgpack.Timestamp):
        return json.dumps(repr(node)).encode()
    # Surrogates become escapes, NaN and infinity their names.
    return json.dumps(node).encode()


CODINGS: list[tuple[Callable[[Any], bytes], bytes]] = [(pack, MSGPACK_TYPE), (text, JSON_TYPE)]


def vectors() -> Any:
    spec = importlib.util.spec_from_file_location("vectors", harness.ROOT / "schemas/vectors/make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VALID: list[dict[str, Any]] = [{**each, "deadline_ms": None} for each in vectors().VALID.values()]
SMALL_VALID = [each for each in VALID if len(text(each)) < SMALL]

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, -2**63, 2**64 - 1, 0.5, float("nan"), float("inf"), -float("inf"), 1e308,
    "", " ", "\0", "a\0b", "\r\n", "id\r\nchat-outcome: answered", "\x1b[31m", "x" * 129, "x" * 5000, "\ud800", "\udfff\ud800",
    "\u202e\ufeff", "\U0001f600" * 40, "null", "{}", "[[not a directive", b"", b"\xff\x00", [], [[]], [None], {}, {"": ""},
    {"a": {"b": {"c": [1, 2, 3]}}}, [1] * 600, msgpack.ExtType(5, b"abc"), Raw(b"\xd6\xff\0\0\0\0"), Raw(b"\xc1"),
    Raw(b"{"), Raw(b"\xdb\xff\xff\xff\xff"), Raw(b"nul"),
]
NAMES = ["request_id", "conversation_id", "messages", "role", "content", "model", "models", "temperature", "deadline_ms",
         "stream", "n", "tools", "stop", "max_tokens", "type", "text", "tool_call_id", "tool_calls", "unknown", ""]


def places(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to all values inside."""
    yield way
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield from places(value, (*way, key))


def change(node: Any, way: tuple[Any, ...], make: Callable[[Any], Any]) -> Any:
    """A copy with the value at the end of the way made anew."""
    if not way:
        return make(node)
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[way[0]] = change(node[way[0]], way[1:], make)
    return copy


class Chance:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 0

    def valid(self, pool: list[dict[str, Any]]) -> dict[str, Any]:
        """One of a pool with ids of its own."""
        self.number += 1
        return {**self.random.choice(pool), "request_id": f"p{self.number}", "conversation_id": f"pc{self.number}"}

    def coded(self, kind: str, node: Any, reasons: tuple[str, ...] = ()) -> Poison:
        code, content_type = self.random.choice(CODINGS)
        return Poison(kind, code(node), f"k{self.number}".encode(), [("content-type", content_type)], reasons)

    def value_changed(self) -> Poison:
        request = self.valid(SMALL_VALID)
        for _ in range(self.random.choice([1, 1, 1, 2, 5])):
            ways = list(places(request))
            request = change(request, self.random.choice(ways), lambda _: self.random.choice(STRANGE))
            if not isinstance(request, dict):
                break
        return self.coded("value changed", request)

    def field_set(self) -> Poison:
        request = self.valid(SMALL_VALID)
        for _ in range(self.random.choice([1, 1, 3])):
            request[self.random.choice(NAMES)] = self.random.choice(STRANGE)
        return self.coded("field set", request)

    def field_missing(self) -> Poison:
        request = self.valid(SMALL_VALID)
        name = self.random.choice(["request_id", "messages"])
        del request[name]
        return self.coded(f"no {name}", request, ("schema",))

    def key_twice(self) -> Poison:
        request = self.valid(SMALL_VALID)
        pairs = list(request.items())
        pairs.insert(self.random.randrange(len(pairs) + 1), self.random.choice(pairs))
        return self.coded("key twice", Pairs(pairs), ("schema",))

    def key_strange(self) -> Poison:
        pairs = list(self.valid(SMALL_VALID).items())
        pairs.insert(self.random.randrange(len(pairs) + 1), (self.random.choice(STRANGE), self.random.choice(STRANGE)))
        return self.coded("key strange", Pairs(pairs))

    def crowd(self) -> Poison:
        extra = {f"x{i}": i for i in range(self.random.choice([65, 200, 2000]))}
        return self.coded("crowd of keys", {**self.valid(SMALL_VALID), **extra}, ("schema",))

    def many_messages(self) -> Poison:
        messages = [{"role": "user", "content": "x"}] * self.random.choice([513, 5000])
        return self.coded("many messages", {**self.valid(SMALL_VALID), "messages": messages}, ("schema",))

    def deep(self) -> Poison:
        depth = self.random.choice([33, 64, 127, 128, 129, 1000, 100_000])
        opening, closing = self.random.choice([(b"[", b"]"), (b'{"a":', b"}")])
        if self.random.random() < 0.5:
            value = self.random.choice([b"\x91", b"\x81\xa1a"]) * depth + self.random.choice([b"\xc0", b""])
            return Poison("deep msgpack", b"\x81\xa1x" + value, reasons=("decode",))
        inside = b"1" if self.random.random() < 0.8 else b""
        return Poison("deep JSON", b'{"x":' + opening * depth + inside + closing * depth + b"}", reasons=("decode",))

    def giant(self) -> Poison:
        """A length that is declared and not there."""
        heads = [b"\xdb", b"\xc6", b"\xc9", b"\xdd", b"\xdf", b"\xda", b"\xc5", b"\xc8", b"\xdc", b"\xde"]
        head = self.random.choice(heads)
        size = 4 if head in heads[:5] else 2
        length = self.random.choice([2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1, 65535])
        before = pack(self.valid(SMALL_VALID))
        cut = self.random.randrange(1, len(before))
        tail = self.random.randbytes(self.random.randrange(40))
        return Poison("giant length", before[:cut] + head + length.to_bytes(size, "big") + tail)

    def bytes_changed(self) -> Poison:
        code, content_type = self.random.choice(CODINGS)
        data = bytearray(code(self.valid(SMALL_VALID)))
        for _ in range(self.random.choice([1, 1, 2, 4, 16])):
            at = self.random.randrange(len(data) + 1)
            how = self.random.randrange(5)
            if how == 0 and at < len(data):
                data[at] ^= 1 << self.random.randrange(8)
            elif how == 1:
                data[at:at] = self.random.randbytes(self.random.randrange(1, 9))
            elif how == 2:
                del data[at : at + self.random.randrange(1, 9)]
            elif how == 3:
                data[at:at] = data[max(0, at - self.random.randrange(1, 60)) : at]
            else:
                other = code(self.valid(SMALL_VALID))
                data[at:] = other[self.random.randrange(len(other)) :]
        return Poison("bytes changed", bytes(data), self.key(), [("content-type", content_type)])

    def noise(self) -> Poison:
        data = self.random.randbytes(self.random.choice([1, 2, 3, 10, 100, 1000]))
        return Poison("noise", data, self.key(), [("content-type", self.random.choice(CODINGS)[1])])

    def nothing(self) -> Poison:
        value = self.random.choice([None, b"", b" ", b"\n\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe"])
        # kafka-python sends no record without both.
        key = self.key() if value is not None else b"k"
        return Poison("nothing", value, key, [("content-type", self.random.choice(CODINGS)[1])])

    def trailing(self) -> Poison:
        poison = self.coded("trailing bytes", self.valid(SMALL_VALID), ("decode",))
        assert poison.value is not None
        poison.value += self.random.choice([b"\xc0", b"{}", b"x", b"\0", poison.value])
        return poison

    def too_large(self) -> Poison:
        content = self.random.choice(["a", "\0", "\r\n", '"', "\u00e9"]) * 400_000
        request = {**self.valid(SMALL_VALID), "messages": [{"role": "user", "content": content}]}
        return self.coded("large", {**request, "user": "x" * 700_000}, ("too_large",))

    def headers_odd(self) -> Poison:
        poison = self.coded("headers odd", self.valid(SMALL_VALID))
        names = ["content-type", "correlation-id", "reply-to", "kafka_replyTopic", "chat-deadline-ms", "traceparent",
                 "tracestate", "chat-replay-id", "kafka_correlationId", "kafka_replyPartition", "dlq-reason", "", "\u00e9", "x"]
        values = [b"", b" ", b"0", b"-1", b"soon", b"9" * 40, b"\r\ninjected: 1", b"\0", b"\xff\xfe", b"x" * 5000,
                  b"application/xml", b"application/json; charset=utf-8", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
                  b"__consumer_offsets", b"no/such\\topic"]
        count = self.random.choice([1, 2, 5, 100])
        poison.headers += [(self.random.choice(names), self.random.choice(values)) for _ in range(count)]
        self.random.shuffle(poison.headers)
        return poison

    def key(self) -> bytes | None:
        self.number += 1
        return self.random.choice([f"k{self.number}".encode(), f"k{self.number}".encode(), None, b"", b"\0\xff\r\n", b"k" * 300])

    def any(self) -> Poison:
        makers = [
            (self.value_changed, 20), (self.field_set, 15), (self.bytes_changed, 25), (self.giant, 8), (self.key_strange, 5),
            (self.key_twice, 4), (self.field_missing, 4), (self.crowd, 2), (self.many_messages, 0.5), (self.deep, 4),
            (self.noise, 5), (self.nothing, 4), (self.trailing, 3), (self.headers_odd, 8), (self.too_large, 0.1),
        ]
        make = self.random.choices([each for each, _ in makers], [weight for _, weight in makers])[0]
        return make()


def poisons(seed: int, count: int) -> list[Poison]:
    chance = Chance(seed)
    return [chance.any() for _ in range(count)]


def prefixes(seed: int, count: int) -> list[Poison]:
    """Every one of `count` valid requests, in both codings by turns."""
    chance = Chance(seed)
    found = []
    for i in range(count):
        code, content_type = CODINGS[i % 2]
        value = code({**SMALL_VALID[i % len(SMALL_VALID)], "request_id": f"cut{i}"})
        found += [Poison(f"prefix {size} of {i}", value[:size], chance.key(), [("content-type", content_type)], ("decode",))
                  for size in range(len(value))]
    return found
