"""The rows of the matrix that only one version of HTTP has."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import hpack
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)  # fmt: skip

from exchange import Behaviour, Exchange
from hostile_http1 import Http1Exchange
from hostile_http2 import Http2Exchange
from matrix_case import CROWD, HEAVY, HTTP_1, HTTP_2, SINGLE, Case, answered, both, case, fallback, of_http
from responses import BREAK_OFF, DONE, FINISH, GOOD, Pause, Repeat, as_bytes, respond, silent, stream, whole, words

MIB = 1 << 20
BROKEN = fallback("stream_broken", (3, 6))
INVALID = fallback("upstream_invalid", 3)
CHUNKED = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
TO_THE_END = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
HOLD, FIN, RST, CLOSE, KEEP = "hold", "fin", "rst", "close", "keep"


def raw(*parts: bytes | str | Pause | Repeat, then: str = HOLD) -> Behaviour:
    """HTTP/1.1 in bytes of our own. FIN: without a word of TLS. CLOSE: with close_notify."""

    async def behave(exchange: Exchange) -> None:
        x = cast(Http1Exchange, exchange)
        for part in parts:
            if isinstance(part, Pause):
                await asyncio.sleep(part.ms / 1000)
                continue
            piece = part if isinstance(part, Repeat) else Repeat(part, 1)
            for _ in range(piece.times):
                await x.raw(as_bytes(piece.piece))
                await asyncio.sleep(piece.pause_ms / 1000)
        if then == FIN:
            x.break_off()
        elif then == RST:
            x.reset()
        elif then == CLOSE:
            x.close()
        elif then == HOLD:
            await x.until_gone()

    return behave


def chunks(*pieces: str) -> str:
    return "".join(f"{len(piece.encode()):x}\r\n{piece}\r\n" for piece in pieces)


def of_http_1() -> list[Case]:
    good = answered()
    some = CHUNKED + "\r\n" + chunks(*words()[:5])
    rest = chunks(stream()) + "0\r\n\r\n"
    body = json.dumps(whole())
    plain = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    cut = fallback("stream_broken", (3, 6))
    rows = [
        *both("half a header line, then nothing", raw("HTTP/1.1 200 OK\r\ncontent-ty"), fallback("timeout", 3)),
        *both("headers byte by byte, too slowly", raw(*(Repeat(each, 1, 200) for each in CHUNKED)),
              fallback("timeout", 3)),
        *both("closed before the headers", raw(then=CLOSE), cut, answered((2, 3))),
        *both("FIN before the headers, no close_notify", raw(then=FIN), cut, answered((2, 3))),
        *both("FIN within the headers", raw(CHUNKED, then=FIN), cut),
        *both("FIN within the answer, no close_notify", raw(some, then=FIN), cut),
        *both("closed within the answer", raw(some, then=CLOSE), cut),
        *both("closed within a chunk", raw(some + "fff\r\ndata: {", then=CLOSE), cut),
        *case("FIN after the finish reason, no close_notify",
              raw(CHUNKED + "\r\n" + chunks(*words(), FINISH), then=FIN), good),
        *case("FIN after [DONE], no close_notify", raw(CHUNKED + "\r\n" + chunks(stream()), then=FIN), good),
        *case("a body until the connection closes", raw(TO_THE_END + stream(), then=CLOSE), good),
        *case("a body until the connection closes, no close_notify", raw(TO_THE_END + stream(), then=FIN), good),
        *both("a body until it closes, without its end", raw(TO_THE_END + "".join(words()[:4]), then=CLOSE), cut),
        *both("the same, no close_notify", raw(TO_THE_END + "".join(words()[:4]), then=FIN), cut),
        *both("a JSON body shorter than its length",
              raw(f"{plain}content-length: {len(body) + 9}\r\n\r\n{body[:-9]}", then=CLOSE), cut),
        *case("a JSON body longer than its length",
              raw(f"{plain}content-length: {len(body)}\r\n\r\n{body}surplus", then=CLOSE), good),
        *both("a length that is no number", raw(f"{plain}content-length: many\r\n\r\n{body}", then=CLOSE),
              fallback(("stream_broken", "upstream_invalid"), 3)),
        *both("a negative length", raw(f"{plain}content-length: -7\r\n\r\n{body}", then=CLOSE),
              fallback(("stream_broken", "upstream_invalid"), 3)),
        *both("a chunk without a size", raw(CHUNKED + "\r\nzz\r\n" + stream() + "\r\n0\r\n\r\n", then=CLOSE), cut),
        *both("a chunk whose size overflows", raw(CHUNKED + "\r\n" + "f" * 32 + "\r\n" + stream(), then=CLOSE), cut),
        *both("not HTTP", raw("220 mail.example ESMTP ready\r\n", then=CLOSE), cut),
        *both("a page without headers", raw("<html>Sorry</html>", then=CLOSE), cut),
        *case("HTTP/1.0", raw("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + stream(), then=CLOSE),
              good),
        *case("header lines that end in LF", raw(CHUNKED.replace("\r\n", "\n") + "\n" + rest, then=KEEP), good),
        *both("101 Switching Protocols", raw("HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
              fallback(("timeout", "stream_broken", "upstream_error"), 3)),
        *case("100 Continue twice", raw("HTTP/1.1 100 Continue\r\n\r\n" * 2 + CHUNKED + "\r\n" + rest, then=KEEP),
              good),
        *both("100 Continue without end", raw(Repeat("HTTP/1.1 100 Continue\r\n\r\n", pause_ms=1)),
              fallback(("upstream_invalid", "timeout"), 3)),
        *both("10,000 headers",
              raw("HTTP/1.1 200 OK\r\n" + "".join(f"x-{at}: y\r\n" for at in range(10_000)) + "\r\n" + rest),
              INVALID),
        *both("headers without end", raw("HTTP/1.1 200 OK\r\n", Repeat("x-more: " + "y" * 1000 + "\r\n")), INVALID),
        *both("a header line of 1 MiB", raw("HTTP/1.1 200 OK\r\nx-long: " + "y" * MIB + "\r\n\r\n"), INVALID),
        *both("a status line of 1 MiB", raw("HTTP/1.1 200 " + "O" * MIB + "\r\n\r\n"),
              fallback(("upstream_invalid", "stream_broken"), 3)),
        *both("trailers of 1 MiB",
              raw(CHUNKED + "\r\n" + chunks(*words()) + "0\r\n" + ("x-more: " + "y" * 1000 + "\r\n") * 1024 + "\r\n"),
              fallback(("upstream_invalid", "stream_broken"), 3)),
        *case("a chunk's extension of 1 MiB", raw(CHUNKED + "\r\n1;x=" + "y" * MIB + "\r\n \r\n" + rest, then=KEEP),
              good),
        *both("a chunk's extension without end", raw(CHUNKED + "\r\n1;x=", Repeat("y" * 4096, pause_ms=1)),
              fallback("timeout", 3)),
        *case("white space in chunks of one byte", raw(CHUNKED + "\r\n" + "1\r\n \r\n" * 1000 + rest, then=KEEP), good),
    ]  # fmt: skip
    rows = with_lanes(rows, ("headers without end", "extension", "10,000", "1 MiB"), CROWD)
    return of_http(HTTP_1, because="there are no such bytes")(rows)


def with_lanes(rows: list[Case], heavy: Sequence[str], others: str) -> list[Case]:
    """Those with one of these words in their name are heavy."""
    return [
        dataclasses.replace(each, lane=HEAVY if any(piece in each.name for piece in heavy) else others) for each in rows
    ]


# HTTP/2

Frames = Callable[[Http2Exchange], Awaitable[None]]


def h2(act: Frames) -> Behaviour:
    async def behave(x: Exchange) -> None:
        await act(cast(Http2Exchange, x))

    return behave


def over_2(behaviour: Behaviour, otherwise: Behaviour) -> Behaviour:
    async def behave(x: Exchange) -> None:
        await (behaviour if x.http == HTTP_2 else otherwise)(x)

    return behave


def early(behaviour: Behaviour) -> Behaviour:
    """Begins as soon as it is known which chat it is; the window of the stream is not opened again."""
    behaviour.is_early = True  # type: ignore[attr-defined]
    return behaviour


def rst(code: ErrorCodes, *parts: str, headers: bool = True) -> Behaviour:
    async def act(x: Http2Exchange) -> None:
        if headers:
            await x.head()
        for part in parts:
            await x.send(part.encode())
        x.reset(code)

    return h2(act)


ALL = 2**31 - 1


def go_away(
    code: ErrorCodes, *before: str, last: int = ALL, after: Sequence[str] = (), closes: bool = True
) -> Behaviour:
    async def act(x: Http2Exchange) -> None:
        if before or after:
            await x.head()
        for part in before:
            await x.send(part.encode())
        await x.go_away(code, last)
        for part in after:
            await x.send(part.encode())
        if after:
            await x.end()
        if closes:
            x.peer.transport.close()

    return h2(act)


def frames(make: Callable[[int], bytes], then_good: bool = False) -> Behaviour:
    """Raw frames of the stream with this number, then nothing, or the good answer."""

    async def act(x: Http2Exchange) -> None:
        await x.raw(make(x.number))
        if then_good:
            await GOOD(x)
        await x.until_gone()

    return h2(act)


def flood(make: Callable[[int], bytes], begin: Callable[[int], bytes] = lambda _: b"") -> Behaviour:
    """Hundreds of raw frames at a time, without end; what comes back is not listened to."""

    async def act(x: Http2Exchange) -> None:
        x.peer.is_deaf = True
        await x.raw(begin(x.number))
        piece = make(x.number) * 200
        while True:
            await x.raw(piece)
            await asyncio.sleep(0.01)

    return h2(act)


def header_block(*fields: tuple[str, str]) -> bytes:
    return hpack.Encoder().encode(fields)


def headers_frame(number: int, *flags: str, block: bytes) -> bytes:
    frame = HeadersFrame(number, block)
    for flag in flags:
        frame.flags.add(flag)
    return frame.serialize()


def continuation(number: int, block: bytes, *flags: str) -> bytes:
    frame = ContinuationFrame(number, block)
    for flag in flags:
        frame.flags.add(flag)
    return frame.serialize()


def settings(values: dict[int, int]) -> bytes:
    return SettingsFrame(0, settings=values).serialize()


def literal_fields(count: int, value: bytes = b"y") -> bytes:
    """Header fields without indexing, so that no table has to be kept in step."""

    def text(data: bytes) -> bytes:
        size = len(data)
        if size < 127:
            return bytes([size]) + data
        rest, octets = size - 127, b"\x7f"
        while rest >= 128:
            octets, rest = octets + bytes([rest % 128 + 128]), rest // 128
        return octets + bytes([rest]) + data

    return b"".join(b"\x00" + text(b"x-%d" % at) + text(value) for at in range(count))


STATUS_200 = b"\x88"  # the indexed field `:status: 200`


def large_block(number: int, block: bytes) -> bytes:
    pieces = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    sent = headers_frame(number, block=pieces[0])
    for piece in pieces[1:-1]:
        sent += continuation(number, piece)
    return sent + continuation(number, pieces[-1] if len(pieces) > 1 else b"", "END_HEADERS")


def streams() -> list[Case]:
    """What hits one stream; the others of its connection go on."""
    some = "".join(words()[:5])
    codes = [ErrorCodes.CANCEL, ErrorCodes.NO_ERROR, ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.PROTOCOL_ERROR]
    return [
        *(row for code in codes for row in both(f"RST_STREAM {code.name} within the answer", rst(code, some), BROKEN)),
        *(row for code in codes for row in both(f"RST_STREAM {code.name} at once", rst(code, headers=False), BROKEN)),
        *case("RST_STREAM NO_ERROR after [DONE]", rst(ErrorCodes.NO_ERROR, stream()), answered()),
        *both("REFUSED_STREAM", rst(ErrorCodes.REFUSED_STREAM, headers=False), BROKEN, answered((2, 3))),
        *case("HTTP_1_1_REQUIRED, which is spoken, too",
              over_2(rst(ErrorCodes.HTTP_1_1_REQUIRED, headers=False), GOOD), answered((2, 6))),
        *both("a header name in upper case",
              frames(lambda n: headers_frame(n, "END_HEADERS", block=STATUS_200 + b"\x00\x01X\x01y")), BROKEN),
        *both("headers without :status", frames(lambda n: headers_frame(n, "END_HEADERS", block=b"\x00\x01x\x01y")),
              BROKEN),
        *both("WINDOW_UPDATE withheld from a long request", early(respond(then="hold")), fallback("timeout", (2, 3)),
              request={"text": "long " * 40_000}, told=False),
    ]  # fmt: skip


def connections() -> list[Case]:
    """What hits a whole connection."""
    some = words()[:5]
    flooded = fallback(("timeout", "stream_broken", "upstream_invalid"), (3, 6))
    calm, no_error = ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.NO_ERROR
    rows = [
        *case("GOAWAY, then the answer goes on",
              go_away(no_error, *some, after=[*words()[5:], FINISH, DONE], closes=False), answered()),
        *case("GOAWAY before the headers, then the answer", go_away(no_error, after=[stream()], closes=False),
              answered()),
        *both("GOAWAY that refuses the request", go_away(no_error, last=0), BROKEN, answered((2, 3))),
        *both("GOAWAY within the answer, then closed", go_away(no_error, *some), BROKEN),
        *both("GOAWAY with an error within the answer", go_away(ErrorCodes.INTERNAL_ERROR, *some), BROKEN),
        *both("GOAWAY ENHANCE_YOUR_CALM at once", go_away(calm), BROKEN, answered((2, 3))),
        *both("FIN within the answer, no close_notify", respond(*some, then=BREAK_OFF), BROKEN),
        *case("FIN after [DONE], no close_notify", respond(stream(), Pause(50), then=BREAK_OFF), answered()),
        *both("FIN before the headers, no close_notify", silent(then=BREAK_OFF), BROKEN, answered((2, 3))),
        *both("bytes that are no frames", frames(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20), BROKEN),
        *both("a frame larger than allowed",
              frames(lambda n: struct.pack(">I", 1 << 20)[1:] + b"\x00\x00" + struct.pack(">I", n) + b"x" * (1 << 20)),
              BROKEN),
        *both("a window that overflows", frames(lambda _: WindowUpdateFrame(0, 0x7FFFFFFF).serialize() * 2), BROKEN),
        *both("PUSH_PROMISE, although it is off", frames(push_promise), BROKEN),
        *both("DATA before HEADERS", frames(lambda n: b"\x00\x00\x05\x00\x00" + struct.pack(">I", n) + b"hello"),
              BROKEN),
        *case("500 PINGs, then the answer",
              frames(lambda _: PingFrame(0, b"12345678").serialize() * 500, then_good=True), answered()),
        *both("PINGs without end", flood(lambda _: PingFrame(0, b"12345678").serialize()), flooded),
        *case("500 SETTINGS, then the answer", frames(lambda _: settings({}) * 500, then_good=True), answered()),
        *both("SETTINGS without end", flood(lambda _: settings({4: 65535})), flooded),
        *both("CONTINUATION without end",
              flood(lambda n: continuation(n, literal_fields(10)), lambda n: headers_frame(n, block=STATUS_200)),
              flooded),
        *both("empty DATA without end",
              flood(lambda n: b"\x00\x00\x00\x00\x00" + struct.pack(">I", n),
                    lambda n: headers_frame(n, "END_HEADERS", block=STATUS_200)),
              flooded),
        *both("10,000 headers", frames(lambda n: large_block(n, STATUS_200 + literal_fields(10_000))),
              fallback(("upstream_invalid", "stream_broken", "timeout"), (3, 6))),
        *both("a header of 1 MiB", frames(lambda n: large_block(n, STATUS_200 + literal_fields(1, b"y" * MIB))),
              fallback(("upstream_invalid", "stream_broken"), (3, 6))),
        *case("MAX_CONCURRENT_STREAMS 0 within the answer",
              frames(lambda _: settings({SettingCodes.MAX_CONCURRENT_STREAMS: 0}), then_good=True), answered()),
        *case("the initial window becomes 0",
              frames(lambda _: settings({SettingCodes.INITIAL_WINDOW_SIZE: 0}), then_good=True), answered()),
    ]  # fmt: skip
    return with_lanes(rows, ("without end", "10,000", "1 MiB"), SINGLE)


def push_promise(number: int) -> bytes:
    block = header_block((":method", "GET"), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", "/"))
    frame = PushPromiseFrame(number, promised_stream_id=number + 1001, data=block)
    frame.flags.add("END_HEADERS")
    return frame.serialize()


def of_http_2() -> list[Case]:
    return of_http(HTTP_2, because="there are no such frames")([*streams(), *connections()])


ONE_VERSION: list[Case] = [*of_http_1(), *of_http_2()]
