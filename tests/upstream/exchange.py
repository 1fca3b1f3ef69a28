"""One request and what a hostile server can do with it, over HTTP/1.1 and HTTP/2 alike; and the journal of what came.

A *behaviour* is a coroutine that is given the exchange. It ends by returning, or by one of the ways to go that raise
`Gone`, which it also meets when its peer has gone.
"""

from __future__ import annotations

import abc
import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from loop_server import HELD_S

Headers = Sequence[tuple[str, str]]
Behaviour = Callable[["Exchange"], Awaitable[None]]
EVENTS = "text/event-stream"
JSON = "application/json"


class Gone(Exception):
    """This exchange is over."""


@dataclass(frozen=True)
class Arrival:
    """A request as it came."""

    http: str
    connection: int
    used: int  # requests that came on this connection before it
    model: str
    authorization: str
    at_ms: int = field(default_factory=lambda: time.monotonic_ns() // 1_000_000)


class Exchange(abc.ABC):
    http: str
    arrival: Arrival
    attempt: int  # from 0 on, of its chat
    elsewhere: str

    @abc.abstractmethod
    async def head(self, status: int = 200, headers: Headers = (), kind: str = EVENTS) -> None:
        """Status and header lines. Over HTTP/1.1 the body is chunked when no header says how long it is."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """A piece of the body."""

    @abc.abstractmethod
    async def end(self, trailers: Headers = ()) -> None:
        """The proper end of the response."""

    @abc.abstractmethod
    async def wait_gone(self) -> None:
        """Returns when the peer has given this exchange up."""

    @abc.abstractmethod
    def break_off(self) -> NoReturn:
        """Closes the connection with FIN, without a word of TLS or HTTP/2."""

    @abc.abstractmethod
    def reset(self) -> NoReturn:
        """HTTP/1.1: closes the connection with RST. HTTP/2: RST_STREAM, an internal error."""

    async def until_gone(self) -> NoReturn:
        try:
            await asyncio.wait_for(self.wait_gone(), HELD_S)
        except TimeoutError:
            pass
        raise Gone


class Script:
    """Which behaviour a request gets, and the journal of the requests. A request names its chat in a message:
    `chat-<number>-`; its behaviours come from `steps`, one an attempt, the last for all that follow."""

    MARK = re.compile(rb"chat-(\d+)-")
    MODEL = re.compile(rb'"model":"([^"]*)"')

    def __init__(self, default: Sequence[Behaviour], elsewhere: str = "") -> None:
        self.steps: dict[int, Sequence[Behaviour]] = {}
        self.default = default
        self.elsewhere = elsewhere  # the URL of another server, for redirects
        self.journal: dict[int, list[Arrival]] = defaultdict(list)
        self.strange: list[bytes] = []  # bodies without a mark

    def chat_of(self, body: bytes) -> int | None:
        found = self.MARK.search(body)
        return int(found[1]) if found else None

    def arrive(self, body: bytes, http: str, connection: int, used: int, authorization: str) -> tuple[Arrival, int]:
        """Writes a request down; also returns the number of its attempt."""
        model = self.MODEL.search(body)
        arrival = Arrival(http, connection, used, model[1].decode() if model else "", authorization)
        chat = self.chat_of(body)
        if chat is None:
            self.strange.append(body)
            return arrival, 0
        self.journal[chat].append(arrival)
        return arrival, len(self.journal[chat]) - 1

    def upcoming(self, body: bytes) -> Behaviour:
        """The behaviour of a request that has not arrived whole."""
        return self.behaviour(body, len(self.journal[self.chat_of(body) or 0]))

    def behaviour(self, body: bytes, attempt: int) -> Behaviour:
        chat = self.chat_of(body)
        steps = self.default if chat is None else self.steps.get(chat, self.default)
        return steps[min(attempt, len(steps) - 1)]
