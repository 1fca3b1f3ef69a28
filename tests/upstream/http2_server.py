"""HTTP/2 over TLS for tests of the upstream pool: answers every stream after a pause.

    with Http2Server(certificates.context("good")) as server:
        ...  # POST {"behaviour": "answer", "pause_ms": 50} to server.url + "/chat/completions"

Behaviours: `answer`; `reset` (the stream is reset after the headers); `refused` (REFUSED_STREAM the first time);
`goaway` (the connection is closed under the stream); `mute` (nothing that comes on this connection is heard any more).
`widest` is the largest number of streams that were open at once on
one connection.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
from scripted_server import answer_events


class Http2Server:
    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls = tls
        tls.set_alpn_protocols(["h2"])
        self.requests: list[tuple[int, dict[str, str]]] = []  # connection, headers
        self.connections = 0
        self.widest = 0
        self.refused: set[bytes] = set()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/api/v1"

    def __enter__(self) -> Http2Server:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *unused: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = self._loop.create_server(lambda: _Peer(self), "127.0.0.1", 0, ssl=self.tls, backlog=1024)
        server = self._loop.run_until_complete(start)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.close()


class _Peer(asyncio.Protocol):
    def __init__(self, server: Http2Server):
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.bodies: dict[int, bytes] = {}
        self.open: set[int] = set()
        self.is_muted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.connections += 1
        self.number = self.server.connections
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.http.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self.is_muted:
            return
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                self.server.requests.append((self.number, headers))
                self.bodies[event.stream_id] = b""
                self.open.add(event.stream_id)
                self.server.widest = max(self.server.widest, len(self.open))
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.obey(event.stream_id, self.bodies[event.stream_id])
            elif isinstance(event, h2.events.StreamReset):
                self.open.discard(event.stream_id)
        self.flush()

    def obey(self, stream: int, body: bytes) -> None:
        order = json.loads(body or b"{}")
        behaviour = order.get("behaviour", "answer")
        if behaviour == "refused" and body not in self.server.refused:
            self.server.refused.add(body)
            self.end(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif behaviour == "reset":
            self.http.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
            self.end(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif behaviour == "mute":
            self.is_muted = True
        elif behaviour == "goaway":
            self.http.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
            self.http.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            self.flush()
            self.transport.close()
        else:
            self.loop.call_later(order.get("pause_ms", 0) / 1000, self.answer, stream)

    def end(self, stream: int, code: h2.errors.ErrorCodes) -> None:
        self.open.discard(stream)
        self.http.reset_stream(stream, code)

    def answer(self, stream: int) -> None:
        if stream not in self.open or self.transport.is_closing():
            return
        self.open.discard(stream)
        self.http.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
        self.http.send_data(stream, "".join(answer_events()).encode(), end_stream=True)
        self.flush()
