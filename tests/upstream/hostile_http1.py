"""An HTTP/1.1 server whose behaviour comes from a script (tests/upstream/exchange.py)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import NoReturn

from exchange import EVENTS, Exchange, Gone, Headers, Script
from loop_server import BACKLOG, LoopServer

LINE_MAX = 1 << 22
BODILESS = {204, 304}
KEY_GOOD = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"data":{}}'
KEY_REFUSED = b"HTTP/1.1 401 Status\r\ncontent-length: 0\r\n\r\n"


def header_lines(headers: Headers) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


class Http1Exchange(Exchange):
    http = "1.1"

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.is_chunked = False

    async def raw(self, data: bytes) -> None:
        """Bytes as they are, outside of any framing."""
        # A lost connection over TLS says nothing of itself, but its socket is closed.
        if self.writer.transport.is_closing() or self.writer.get_extra_info("socket").fileno() < 0:
            raise Gone
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise Gone from error

    async def head(self, status: int = 200, headers: Headers = (), kind: str = EVENTS) -> None:
        names = {name.lower() for name, _ in headers}
        self.is_chunked = not names & {"content-length", "connection"} and status >= 200 and status not in BODILESS
        fields = [("content-type", kind)] if kind else []
        if self.is_chunked:
            fields.append(("transfer-encoding", "chunked"))
        await self.raw(f"HTTP/1.1 {status} Status\r\n{header_lines([*fields, *headers])}\r\n".encode())

    async def send(self, data: bytes) -> None:
        if data:
            await self.raw(b"%x\r\n%s\r\n" % (len(data), data) if self.is_chunked else data)

    async def end(self, trailers: Headers = ()) -> None:
        if self.is_chunked:
            await self.raw(f"0\r\n{header_lines(trailers)}\r\n".encode())

    async def wait_gone(self) -> None:
        try:
            await self.reader.read(1)
        except OSError:
            pass

    def break_off(self) -> NoReturn:
        self.writer.transport.abort()
        raise Gone

    def reset(self) -> NoReturn:
        peer = self.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.break_off()

    def close(self) -> NoReturn:
        """With a farewell in TLS, where there is TLS."""
        self.writer.close()
        raise Gone


class Http1Server(LoopServer):
    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.script = script
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
        return await asyncio.start_server(self.serve, sock=listener, ssl=tls, limit=LINE_MAX, backlog=BACKLOG)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, used = self.connections, 0
        self._writers.add(writer)
        try:
            while await self._serve_one(reader, writer, connection, used):
                used += 1
        except (Gone, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001
            self.errors.append(error)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int, used: int
    ) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if lines[0].startswith("GET"):
            writer.write(KEY_GOOD if self.answers_key else KEY_REFUSED)
            return True
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        x = Http1Exchange(reader, writer)
        x.elsewhere = self.script.elsewhere
        x.arrival, x.attempt = self.script.arrive(body, x.http, connection, used, fields.get("authorization", ""))
        await self.script.behaviour(body, x.attempt)(x)
        return not writer.is_closing()
