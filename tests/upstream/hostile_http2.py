"""An HTTP/2 server over TLS whose behaviour comes from a script (tests/upstream/exchange.py), down to single frames."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import NoReturn

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from exchange import EVENTS, Behaviour, Exchange, Gone, Headers, Script
from hostile_http1 import LINE_MAX, Http1Server
from loop_server import BACKLOG

CONNECTION_WINDOW = 1 << 30
STREAMS = 100  # what most servers allow at once


@dataclass
class Stream:
    number: int
    headers: dict[bytes, bytes]
    body: bytes = b""
    exchange: Http2Exchange | None = None
    withholds: bool = False  # its window is not opened again


class Http2Server(Http1Server):
    """Speaks HTTP/1.1 to whoever asks for no more."""

    def __init__(self, script: Script, tls: ssl.SSLContext) -> None:
        super().__init__(script, tls)
        self.settings: dict[SettingCodes, int] = {SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS}
        self.widest = 0  # the most streams that were open at once on one connection
        self._peers: set[Peer] = set()

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
        assert tls is not None
        tls.set_alpn_protocols(["h2", "http/1.1"])
        return await self._loop.create_server(lambda: Peer(self), sock=listener, ssl=tls, backlog=BACKLOG)

    def hang_up(self) -> None:
        super().hang_up()
        for peer in self._peers:
            peer.transport.close()

    def join(self, peer: Peer) -> int:
        self._peers.add(peer)
        self.connections += 1
        return self.connections

    def leave(self, peer: Peer) -> None:
        self._peers.discard(peer)


class Peer(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: Http2Server) -> None:
        self.server = server
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.http = h2.connection.H2Connection(config)
        self.http.local_settings = h2.settings.Settings(client=False, initial_values=dict(server.settings))
        self.streams: dict[int, Stream] = {}
        self.used = 0
        self.is_muted = False  # hears nothing any more and says nothing
        self.is_deaf = False  # hears nothing any more
        self.is_lost = False
        self.moved = asyncio.Event()  # something changed that a sender may wait for
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self.speak_http_1()
            return
        self.number = self.server.join(self)
        self.http.initiate_connection()
        self.http.increment_flow_control_window(CONNECTION_WINDOW)
        self.flush()

    def speak_http_1(self) -> None:
        reader = asyncio.StreamReader(limit=LINE_MAX)
        protocol = asyncio.StreamReaderProtocol(reader, self.server.serve)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.server.leave(self)
        self.is_lost = True
        self.may_write.set()
        for stream in self.streams.values():
            self.end_of(stream)
        self.streams.clear()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()

    def flush(self) -> None:
        data = self.http.data_to_send()
        if data and not self.is_muted:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.is_muted or self.is_deaf:
            return
        try:
            events = self.http.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self.on_event(event)
        self.flush()

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = Stream(event.stream_id, dict(event.headers))
            self.server.widest = max(self.server.widest, len(self.streams))
        elif isinstance(event, h2.events.DataReceived):
            self.on_data(self.streams[event.stream_id], event)
        elif isinstance(event, h2.events.StreamEnded):
            self.begin(self.streams[event.stream_id])
        elif isinstance(event, h2.events.StreamReset) and event.stream_id in self.streams:
            self.end_of(self.streams.pop(event.stream_id))
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self.moved.set()

    def end_of(self, stream: Stream) -> None:
        if stream.exchange is not None:
            stream.exchange.gone.set()
        self.moved.set()

    def on_data(self, stream: Stream, event: h2.events.DataReceived) -> None:
        stream.body += event.data
        if stream.exchange is None and self.server.script.chat_of(stream.body) is not None:
            chat_behaves = self.server.script.upcoming(stream.body)
            if getattr(chat_behaves, "is_early", False):
                stream.withholds = True
                self.begin(stream)
        if not stream.withholds:
            self.http.acknowledge_received_data(event.flow_controlled_length, stream.number)

    def begin(self, stream: Stream) -> None:
        if stream.exchange is not None:
            return
        stream.exchange = x = Http2Exchange(self, stream)
        if stream.headers[b":method"] == b"GET":
            asyncio.ensure_future(self.run(x, answer_key if self.server.answers_key else refuse_key))
            return
        script = self.server.script
        x.elsewhere = script.elsewhere
        authorization = stream.headers.get(b"authorization", b"").decode()
        x.arrival, x.attempt = script.arrive(stream.body, x.http, self.number, self.used, authorization)
        self.used += 1
        asyncio.ensure_future(self.run(x, script.behaviour(stream.body, x.attempt)))

    async def run(self, x: Http2Exchange, behaviour: Behaviour) -> None:
        try:
            await behaviour(x)
        except (Gone, OSError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001
            self.server.errors.append(error)
        finally:
            self.streams.pop(x.stream.number, None)


async def answer_key(x: Exchange) -> None:
    await x.head(200, kind="application/json")
    await x.send(b'{"data":{}}')
    await x.end()


async def refuse_key(x: Exchange) -> None:
    await x.head(401)
    await x.end()


class Http2Exchange(Exchange):
    http = "2"

    def __init__(self, peer: Peer, stream: Stream) -> None:
        self.peer, self.stream = peer, stream
        self.gone = asyncio.Event()

    @property
    def number(self) -> int:
        return self.stream.number

    def check(self) -> None:
        if self.gone.is_set() or self.peer.is_lost or self.peer.transport.is_closing():
            raise Gone

    async def flush(self) -> None:
        self.peer.flush()
        await self.peer.may_write.wait()

    async def raw(self, frames: bytes) -> None:
        """Frames as they are, behind those that were sent properly."""
        self.check()
        self.peer.flush()
        self.peer.transport.write(frames)
        await self.peer.may_write.wait()

    async def head(self, status: int = 200, headers: Headers = (), kind: str = EVENTS) -> None:
        self.check()
        fields = [(":status", str(status))] + ([("content-type", kind)] if kind else [])
        fields += [(name.lower(), value) for name, value in headers if name.lower() != "connection"]
        try:
            self.peer.http.send_headers(self.number, fields)
        except h2.exceptions.ProtocolError as error:
            raise Gone from error
        await self.flush()

    async def send(self, data: bytes) -> None:
        http = self.peer.http
        while data:
            self.check()
            try:
                room = min(http.local_flow_control_window(self.number), http.max_outbound_frame_size)
                if room > 0:
                    http.send_data(self.number, data[:room])
            except h2.exceptions.ProtocolError as error:
                raise Gone from error
            data = data[max(room, 0) :]
            await self.flush()
            if room <= 0:
                self.peer.moved.clear()
                await self.peer.moved.wait()

    async def end(self, trailers: Headers = ()) -> None:
        self.check()
        try:
            if trailers:
                self.peer.http.send_headers(self.number, trailers, end_stream=True)
            else:
                self.peer.http.end_stream(self.number)
        except h2.exceptions.ProtocolError as error:
            raise Gone from error
        await self.flush()

    async def wait_gone(self) -> None:
        await self.gone.wait()

    def break_off(self) -> NoReturn:
        self.peer.transport.abort()
        raise Gone

    def reset(self, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> NoReturn:
        self.check()
        self.peer.http.reset_stream(self.number, code)
        self.peer.flush()
        raise Gone

    async def go_away(self, code: ErrorCodes, last: int) -> None:
        """GOAWAY: streams above `last` were not worked on. Sent raw, since the library would not go on after it."""
        await self.raw(GoAwayFrame(0, last, int(code)).serialize())
