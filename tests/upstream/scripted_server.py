"""An HTTP/1.1 server on raw sockets that misbehaves as it is told, for tests of whatever calls OpenRouter.

    with ScriptedServer() as server:
        ...  # POST {"behaviour": "cut", "at": 100} to server.url + "/chat/completions"
        assert server.requests[0].headers["authorization"] == "Bearer key"

What to do comes with each request, in its JSON body: `behaviour` names a function below, the other members are its
arguments. Everything that arrives is written down in `requests`, in order of arrival; `connections` counts what was
accepted. It runs in a thread of its own and ends with the `with` block, whatever its peers do.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any

TEXT = "The quick brown fox jumps over the lazy dog and runs away. "
HELD_S = 30.0  # longest that a behaviour waits for its peer to go away
REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclasses.dataclass
class Request:
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    order: dict[str, Any]
    gone_before: int  # how many peers had gone away from a waiting behaviour when this arrived


@dataclasses.dataclass
class Exchange:
    """One request and the connection that it came on."""

    server: ScriptedServer
    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def chunk(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def until_gone(self) -> None:
        """Waits until the peer closes the connection."""
        try:
            await asyncio.wait_for(self.reader.read(1), HELD_S)
        except (TimeoutError, ConnectionError):
            pass
        self.server.gone += 1
        raise ConnectionResetError

    def reset(self) -> None:
        """Closes with RST in place of FIN."""
        peer = self.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise ConnectionResetError


def head(status: int = 200, headers: dict[str, str] | None = None, chunked: bool = True) -> str:
    fields = {"content-type": "text/event-stream", "x-generation-id": "gen-test"}
    if chunked:
        fields["transfer-encoding"] = "chunked"
    fields |= headers or {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n{lines}\r\n"


def event(content: dict[str, Any] | str) -> str:
    return f"data: {content if isinstance(content, str) else json.dumps(content)}\n\n"


def delta(text: str, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return event({"id": "gen-test", "model": "test/model", "choices": [choice]})


def answer_events(deltas: int = 20) -> list[str]:
    usage = {"prompt_tokens": 10, "completion_tokens": deltas, "total_tokens": 10 + deltas, "cost": 0.001}
    words = (TEXT * (deltas // 12 + 1)).split()
    return [
        *(delta(word + " ") for word in words[:deltas]),
        delta("", "stop"),
        event({"id": "gen-test", "model": "test/model", "choices": [], "usage": usage}),
        event("[DONE]"),
    ]


def whole_answer(text: str = TEXT) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "gen-test", "model": "test/model", "choices": [choice]}).encode()


def json_head(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> str:
    fields = {"content-type": "application/json", "content-length": str(len(body))}
    return head(status, fields | (headers or {}), chunked=False)


async def normal(x: Exchange, deltas: int = 20, headers: dict[str, str] | None = None, separate: bool = False) -> None:
    """A good stream: in one piece, or each event by itself."""
    await x.send(head(headers=headers))
    events = answer_events(deltas)
    for piece in events if separate else ["".join(events)]:
        await x.chunk(piece)
    await x.send("0\r\n\r\n")


async def plain(x: Exchange, status: int = 200, headers: dict[str, str] | None = None, body: Any = None) -> None:
    """A body that is not a stream: the answer, or the JSON or text that is asked for."""
    data = whole_answer() if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    await x.send(json_head(data, status, headers).encode() + data)


async def held(x: Exchange) -> None:
    """Says nothing at all."""
    await x.until_gone()


async def slow(x: Exchange, pause_ms: int = 300) -> None:
    """Says nothing for a while, then all."""
    await asyncio.sleep(pause_ms / 1000)
    await normal(x)


async def trickle(x: Exchange, piece: str = " ", pause_ms: int = 20, deltas: int = 0) -> None:
    """Keeps the connection busy with something that is not content, after some content."""
    await x.send(head())
    for _ in range(deltas):
        await x.chunk(delta("word "))
    gone = asyncio.ensure_future(x.until_gone())
    while not gone.done():
        await x.chunk(piece)
        await asyncio.wait([gone], timeout=pause_ms / 1000)
    await gone


async def stalled(x: Exchange, deltas: int = 3) -> None:
    """Headers and some content, then nothing."""
    await x.send(head())
    for _ in range(deltas):
        await x.chunk(delta("word "))
    await x.until_gone()


async def drip(x: Exchange, deltas: int = 3) -> None:
    """A good stream, byte by byte."""
    body = "".join(answer_events(deltas)).encode()
    for byte in head().encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body):
        await x.send(bytes([byte]))
        await asyncio.sleep(0)


async def cut(x: Exchange, at: int = 400, reset: bool = False) -> None:
    """A good stream that breaks off after so many bytes, headers included."""
    body = "".join(answer_events()).encode()
    whole = head().encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    if at > 0:
        await x.send(whole[:at])
    if reset:
        x.reset()
    raise ConnectionResetError


async def short(x: Exchange) -> None:
    """Promises more bytes than it sends."""
    body = whole_answer()
    await x.send(json_head(body + b" " * 100).encode() + body[: len(body) // 2])
    raise ConnectionResetError


async def until_close(x: Exchange, ending: str = "done", pause_ms: int = 0) -> None:
    """A stream without a length, ended by closing: with [DONE], with a finish reason only, or with neither."""
    await asyncio.sleep(pause_ms / 1000)
    await x.send(head(headers={"connection": "close"}, chunked=False))
    events = answer_events(5)
    await x.send("".join(events if ending == "done" else events[:-2] if ending == "finish" else events[:4]))
    raise ConnectionResetError


async def not_done(x: Exchange, finish: bool = True) -> None:
    """A stream that ends properly in HTTP's eyes, but without [DONE]."""
    await x.send(head())
    for piece in answer_events(5)[: -2 if finish else 4]:
        await x.chunk(piece)
    await x.send("0\r\n\r\n")


async def error_event(x: Exchange, code: int = 502, deltas: int = 2) -> None:
    """A stream that turns into an error."""
    await x.send(head())
    for _ in range(deltas):
        await x.chunk(delta("word "))
    error = {"code": code, "message": "SECRET-MESSAGE"}
    await x.chunk(event({"id": "gen-test", "error": error, "choices": []}))
    await x.send("0\r\n\r\n")


async def late_end(x: Exchange, pause_ms: int = 30) -> None:
    """The last chunk comes some time after [DONE]."""
    await x.send(head())
    await x.chunk("".join(answer_events(3)))
    await asyncio.sleep(pause_ms / 1000)
    await x.send("0\r\n\r\n")


async def never_ends(x: Exchange, rubbish: int = 0) -> None:
    """After [DONE] the stream goes on for ever, with or without bytes."""
    await x.send(head())
    await x.chunk("".join(answer_events(3)))
    if rubbish:
        await x.chunk(b" " * rubbish)
    await x.until_gone()


async def hasty(x: Exchange, pause_ms: int = 50) -> None:
    """Answers before it has read the body (which only a path that begins with /early/ asks for), and reads it later."""
    x.writer.transport.pause_reading()
    await normal(x, 3)
    await asyncio.sleep(pause_ms / 1000)
    x.writer.transport.resume_reading()
    await x.reader.readexactly(int(x.request.headers["content-length"]))


async def large(x: Exchange, size: int = 4 << 20, line: bool = False) -> None:
    """More bytes than anybody wants: as many events, or as one line."""
    await x.send(head())
    piece = "x" * 4096 if line else delta("x" * 4096)
    for _ in range(size // 4096):
        await x.chunk(piece)
    await x.until_gone()


async def large_headers(x: Exchange, lines: int = 200, size: int = 1000) -> None:
    await x.send("HTTP/1.1 200 OK\r\n" + "".join(f"x-{i}: {'v' * size}\r\n" for i in range(lines)))
    await x.until_gone()


async def garbage(x: Exchange) -> None:
    """Not HTTP."""
    await x.send("220 mail.example ESMTP ready\r\n")
    raise ConnectionResetError


async def interim(x: Exchange) -> None:
    """Two interim responses before the real one."""
    await x.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nretry-after: 99\r\n\r\n")
    await normal(x)


async def trailers(x: Exchange) -> None:
    """Header lines after the body, one of which looks like a status line."""
    await x.send(head())
    await x.chunk("".join(answer_events(3)[:-1]))
    await x.chunk(event("[DONE]"))
    await x.send("0\r\nx-trailer: 1\r\nHTTP/1.1 500 no: 1\r\n\r\n")


async def mortal(x: Exchange, pause_ms: int = 0, reset: bool = False) -> None:
    """A good answer, but the next request on this connection gets nothing: after a pause the connection closes."""
    await normal(x)
    await x.server.read_request(x.reader, x.request.connection)
    await asyncio.sleep(pause_ms / 1000)
    if reset:
        x.reset()
    raise ConnectionResetError


async def farewell(x: Exchange) -> None:
    """A good answer, then the connection closes without a word."""
    await normal(x)
    raise ConnectionResetError


BEHAVIOURS: dict[str, Callable[..., Awaitable[None]]] = {
    function.__name__: function
    for function in (
        normal, plain, held, slow, trickle, stalled, drip, cut, short, until_close, not_done, error_event, late_end,
        never_ends, hasty, large, large_headers, garbage, interim, trailers, mortal, farewell,
    )
}  # fmt: skip


class ScriptedServer:
    """Serves on 127.0.0.1, or another address of this host, on a free port."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", key_order: dict | None = None):
        self.tls = tls
        self.host = host
        self.key_order = key_order or {"behaviour": "plain", "body": {"data": {"limit_remaining": 5}}}
        self.requests: list[Request] = []
        self.connections = 0
        self.gone = 0  # peers that went away while a behaviour waited for it
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/api/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *unused: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = asyncio.start_server(self._serve, self.host, 0, ssl=self.tls, limit=1 << 22, backlog=4096)
        server = self._loop.run_until_complete(start)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while request := await self.read_request(reader, connection):
                order = dict(request.order)
                behave = BEHAVIOURS[order.pop("behaviour", "normal")]
                await behave(Exchange(self, request, reader, writer), **order)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def read_request(self, reader: asyncio.StreamReader, connection: int) -> Request | None:
        """The next request of this connection, written down; None when the peer has closed."""
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        method, path, _ = lines[0].split(" ")
        fields = (line.split(":", 1) for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, value in fields}
        if path.startswith("/early/"):
            return self._note(Request(connection, method, path, headers, b"", {"behaviour": "hasty"}, self.gone))
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        order = self.key_order if method == "GET" else json.loads(body or "{}")
        return self._note(Request(connection, method, path, headers, body, order, self.gone))

    def _note(self, request: Request) -> Request:
        self.requests.append(request)
        return request


def main() -> None:
    """Runs until it is interrupted; prints the address first."""
    with ScriptedServer() as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
