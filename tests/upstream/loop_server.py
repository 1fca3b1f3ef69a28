"""What the hostile servers share: an asyncio loop in a thread of its own and one port of 127.0.0.1, whose door can be
shut and opened anew with another certificate, or with somebody behind it who speaks no HTTP at all.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Greeting = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BACKLOG = 4096
# That a peer went away in the middle of something is what these servers are for.
logging.getLogger("asyncio").setLevel(logging.ERROR)
HELD_S = 30.0  # longest that anything here waits for its peer to go away


class LoopServer(abc.ABC):
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.port = 0
        self.connections = 0  # that got through the door, so with TLS: whose handshake is over
        self.received = 0  # bytes that came after greetings
        self.answers_key = True  # whether the probe of the key is told that all is well
        self.errors: list[BaseException] = []  # mistakes of the test itself
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._full: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/api/v1"

    def __enter__(self) -> LoopServer:
        self._thread.start()
        self._call(self._open(self.tls, None))
        return self

    def __exit__(self, *unused: object) -> None:
        self._call(self._close())
        self._call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self, tls: ssl.SSLContext | None) -> None:
        """Shows this certificate to whoever comes from now on; ends all connections that there are."""
        self._call(self._open(tls, None))

    def greet(self, greeting: Greeting, tls: ssl.SSLContext | None = None) -> None:
        """Lets this deal with every connection from now on; ends all that there are."""
        self._call(self._open(tls, greeting))

    def shut(self) -> None:
        """Refuses connections; ends all that there are."""
        self._call(self._close())

    def fill(self) -> None:
        """Neither refuses connections nor takes them: the queue of the listening socket is full."""
        self._call(self._close())
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._full = [listener, socket.socket(), socket.socket()]
        for client in self._full[1:]:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())

    @abc.abstractmethod
    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
        """Serves HTTP on this socket."""

    @abc.abstractmethod
    def hang_up(self) -> None:
        """Ends all connections of HTTP."""

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _open(self, tls: ssl.SSLContext | None, greeting: Greeting | None) -> None:
        await self._close()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        if greeting is None:
            self._server = await self.listen(listener, tls)
        else:
            self._server = await asyncio.start_server(self._greet(greeting), sock=listener, ssl=tls, backlog=BACKLOG)

    def _greet(self, greeting: Greeting) -> Greeting:
        async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await greeting(reader, writer)
                self.received += len(await asyncio.wait_for(reader.read(), HELD_S))
            except (TimeoutError, OSError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        return welcome

    async def _close(self) -> None:
        for each in self._full:
            each.close()
        self._full = []
        if self._server is not None:
            self._server.close()
            self._server = None
        self.hang_up()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
