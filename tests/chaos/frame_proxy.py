"""A TCP proxy between Kafka clients and one broker that knows requests and answers apart and can interfere with them.

It reads the length-prefixed frames of Kafka's protocol, knows ApiKey, version and correlation id of each request, and
which answer belongs to which request: a broker answers the requests of one connection in their order. Rules that a test
adds say what becomes of chosen frames:

    hold       it waits, and all behind it on its way, until `rule.release()`; then it goes on where it was going to. The
               broker's side of the connection stays open even when the client's side has been reset meanwhile
    hold aside the same for a request, but what is behind it passes: as if it had gone to another broker of a cluster
    drop       it is swallowed; the connection lives on
    duplicate  a request reaches the broker twice; the client gets the first answer only
    cut        it is swallowed and the client's side is reset

    with FrameProxy(port, lambda: broker.port) as proxy:
        stray = proxy.add(Rule(END_TXN, HOLD))
        stray.wait()
        stray.cut_client()      # the client connects anew and sends it again
        ...
        stray.release()         # and now the first copy arrives

The proxy runs in a thread of its own; everything public is for the test's thread.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

PRODUCE, FETCH, OFFSET_COMMIT, JOIN_GROUP = 0, 1, 8, 11
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 22, 24, 25, 26, 28
TRANSACTIONAL = (PRODUCE, INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT)

PASS, HOLD, HOLD_ASIDE, DROP, DUPLICATE, CUT = "pass", "hold", "hold aside", "drop", "duplicate", "cut"
REQUEST, RESPONSE = "request", "response"

ANY = -1  # for a rule about all frames of a side
FRAME_MAX = 64 << 20
SEEN_MAX = 20_000
# How long the broker may take to answer what was released after its client had gone.
LINGER_S = 10.0


@dataclass(frozen=True)
class Frame:
    """One request, or the answer to one: then key, version and client are the request's."""

    side: str
    api_key: int
    api_version: int
    correlation_id: int
    client_id: str
    connection: int
    payload: bytes  # all but the length

    def error(self) -> int:
        """The error code of an answer to InitProducerId, AddOffsetsToTxn or EndTxn before their flexible versions."""
        return struct.unpack_from(">h", self.payload, 8)[0]

    def commits(self) -> bool:
        """Whether an EndTxn request asks for a commit: the last byte, before its flexible versions."""
        return self.payload[-1] == 1

    def epoch(self) -> int:
        """The producer's epoch in an EndTxn request, before its flexible versions."""
        return struct.unpack_from(">h", self.payload, len(self.payload) - 3)[0]


def parse_request(payload: bytes, connection: int) -> Frame:
    key, version, correlation, size = struct.unpack_from(">hhih", payload)
    client = payload[10 : 10 + max(size, 0)].decode(errors="replace")
    return Frame(REQUEST, key, version, correlation, client, connection, payload)


class Rule:
    """What becomes of frames with this ApiKey: the first `skip` that fit pass, the next `count` are acted on.

    `when` decides further, in the proxy's thread; it must not block.
    """

    def __init__(self, api_key: int, action: str, side: str = REQUEST, skip: int = 0, count: int = 1,
                 when: Callable[[Frame], bool] | None = None) -> None:
        assert side == REQUEST or action not in (HOLD_ASIDE, DUPLICATE), "for requests only"
        self.api_key, self.action, self.side = api_key, action, side
        self.skip, self.count, self.when = skip, count, when
        self.hits: list[Frame] = []
        self.connections: list[_Connection] = []
        self._hit, self._released = threading.Event(), threading.Event()
        self._gates: list[asyncio.Event] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def fits(self, frame: Frame) -> bool:
        """Counts; so it is asked once for each frame."""
        if self.api_key not in (ANY, frame.api_key) or frame.side != self.side or len(self.hits) >= self.count:
            return False
        if self.when is not None and not self.when(frame):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits.append(frame)
        return True

    def note(self, connection: _Connection) -> None:
        self.connections.append(connection)
        self._hit.set()

    async def wait_released(self) -> None:
        gate = asyncio.Event()
        self._gates.append(gate)
        if not self._released.is_set():
            await gate.wait()

    def wait(self, timeout_s: float = 30.0) -> Frame:
        """Until the rule has acted; returns the first frame it acted on."""
        assert self._hit.wait(timeout_s), f"no {self.side} with ApiKey {self.api_key} within {timeout_s:g} s"
        return self.hits[0]

    def was_hit(self) -> bool:
        return self._hit.is_set()

    def cut_client(self) -> None:
        """Resets the client's side of the connections that it acted on. The broker's side stays."""
        assert self._loop is not None
        for connection in list(self.connections):
            self._loop.call_soon_threadsafe(connection.cut)

    def release(self) -> None:
        """What is held goes on; what fits from now on passes."""
        self.count = len(self.hits)
        self._released.set()
        for gate in self._gates:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(gate.set)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame without its length; None at the end, however it came."""
    try:
        size = struct.unpack(">i", await reader.readexactly(4))[0]
        if not 0 <= size <= FRAME_MAX:
            return None
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError):
        return None


def write_frame(writer: asyncio.StreamWriter, payload: bytes) -> None:
    if not writer.is_closing():
        writer.write(struct.pack(">i", len(payload)) + payload)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST, as a broken network does, not in order."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class _Connection:
    """One client's connection and its twin to the broker."""

    def __init__(self, proxy: FrameProxy, number: int, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.proxy, self.number, self.client, self.broker = proxy, number, client, broker
        self.expected: deque[tuple[Frame, bool]] = deque()  # request, whether the client wants its answer
        self.is_cut = self.has_held = False
        self.aside: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self.is_cut = True
        reset(self.client)

    async def run(self, client: asyncio.StreamReader, broker: asyncio.StreamReader) -> None:
        answers = asyncio.create_task(self._answers(broker))
        try:
            await self._requests(client)
            end = time.monotonic() + LINGER_S
            while self.has_held and self.expected and not answers.done() and time.monotonic() < end:
                await asyncio.sleep(0.01)
        finally:
            for task in self.aside:
                task.cancel()
            if not answers.cancel() and answers.exception() is not None:
                raise answers.exception()
            reset(self.broker)
            self.client.close()

    async def _requests(self, reader: asyncio.StreamReader) -> None:
        while (payload := await read_frame(reader)) is not None:
            frame = parse_request(payload, self.number)
            action = await self._judge(frame)
            if action == DROP:
                continue
            if action == CUT:
                return
            if action == HOLD_ASIDE:
                continue
            self._pass_on(frame, is_wanted=True)
            if action == DUPLICATE:
                self._pass_on(frame, is_wanted=False)
            await drain(self.broker)

    async def _pass_on_later(self, rule: Rule, frame: Frame) -> None:
        await rule.wait_released()
        self.proxy.note(frame, "released")
        self._pass_on(frame, is_wanted=True)
        await drain(self.broker)

    def _pass_on(self, frame: Frame, is_wanted: bool) -> None:
        self.expected.append((frame, is_wanted))
        write_frame(self.broker, frame.payload)

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        try:
            await self._pass_answers(reader)
        finally:
            # The broker has gone, or its connection broke; what is held has nowhere to go to.
            reset(self.client)

    async def _pass_answers(self, reader: asyncio.StreamReader) -> None:
        while (payload := await read_frame(reader)) is not None:
            request, is_wanted = self.expected.popleft()
            frame = replace(request, side=RESPONSE, payload=payload)
            assert struct.unpack_from(">i", payload)[0] == request.correlation_id, "answers are not in order"
            if self.is_cut or not is_wanted:
                self.proxy.note(frame, "swallowed")
                continue
            action = await self._judge(frame)
            if action == CUT:
                return
            if action != DROP:
                write_frame(self.client, payload)
                await drain(self.client)

    async def _judge(self, frame: Frame) -> str:
        rule = self.proxy.match(frame)
        action = PASS if rule is None else rule.action
        if action == CUT:
            self.cut()
        if rule is not None:
            self.has_held |= action in (HOLD, HOLD_ASIDE)
            self.proxy.note(frame, action)
            rule.note(self)
        if rule is not None and action == HOLD:
            await rule.wait_released()
            self.proxy.note(frame, "released")
        if rule is not None and action == HOLD_ASIDE:
            self.aside.add(asyncio.create_task(self._pass_on_later(rule, frame)))
        if rule is None:
            self.proxy.note(frame, PASS)
        return action


async def drain(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.drain()
    except OSError:
        pass


class FrameProxy:
    """Listens on 127.0.0.1:`port` and connects each client to 127.0.0.1:`broker_port()`."""

    def __init__(self, port: int, broker_port: Callable[[], int]) -> None:
        self.port, self.broker_port = port, broker_port
        self.rules: list[Rule] = []
        self.seen: deque[tuple[float, str, Frame]] = deque(maxlen=SEEN_MAX)  # time, what became of it, frame
        self.connections: dict[int, _Connection] = {}
        self.is_refusing = False  # resets whoever connects
        self.failures: list[BaseException] = []
        self._count = 0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frame-proxy", daemon=True)

    def __enter__(self) -> FrameProxy:
        self._thread.start()
        assert self._ready.wait(10), "the proxy does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        if self.failures:
            raise self.failures[0]

    def add(self, rule: Rule) -> Rule:
        rule._loop = self._loop
        with self._lock:
            self.rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """What it holds goes on."""
        with self._lock:
            if rule in self.rules:
                self.rules.remove(rule)
        rule.release()

    def clear(self) -> None:
        """Forgets all rules; what they hold goes on."""
        with self._lock:
            rules, self.rules = self.rules, []
        for rule in rules:
            rule.release()

    def cut_some(self, share: float = 1.0, source: random.Random | None = None) -> int:
        """Resets this share of all connections; returns how many there were to choose from."""
        chance = source or random.Random()
        now = list(self.connections.values())
        for connection in now:
            if chance.random() < share:
                self._loop.call_soon_threadsafe(connection.cut)
        return len(now)

    def frames(self, api_key: int, side: str = REQUEST, became: str | None = None, after: float = 0.0) -> list[Frame]:
        """Transactional frames noted since `after` (monotonic)."""
        return [frame for at, word, frame in list(self.seen)
                if at >= after and (frame.api_key, frame.side) == (api_key, side) and became in (None, word)]

    def match(self, frame: Frame) -> Rule | None:
        with self._lock:
            return next((rule for rule in self.rules if rule.fits(frame)), None)

    def note(self, frame: Frame, became: str) -> None:
        if frame.api_key in TRANSACTIONAL:
            kept = frame.payload if frame.api_key != PRODUCE else b""
            self.seen.append((time.monotonic(), became, replace(frame, payload=kept)))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._ready.set()
        await self._stop.wait()
        server.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_refusing:
            reset(writer)
            return
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.broker_port())
        except OSError:
            reset(writer)
            return
        self._count += 1
        connection = _Connection(self, self._count, writer, broker_writer)
        self.connections[connection.number] = connection
        try:
            await connection.run(reader, broker_reader)
        except asyncio.CancelledError:
            pass
        except Exception as failure:  # told by __exit__: a proxy that fails silently makes tests lie
            self.failures.append(failure)
        finally:
            del self.connections[connection.number]
