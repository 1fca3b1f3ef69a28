"""The proxy between a client and a broker that are sockets of this test: what goes in comes out, unless a rule says so."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from frame_proxy import (
    CUT,
    DROP,
    DUPLICATE,
    END_TXN,
    HOLD,
    HOLD_ASIDE,
    PRODUCE,
    REQUEST,
    RESPONSE,
    FrameProxy,
    Rule,
)
from harness import free_port, until


def request(key: int, correlation: int, body: bytes = b"") -> bytes:
    payload = struct.pack(">hhih", key, 1, correlation, 4) + b"test" + body
    return struct.pack(">i", len(payload)) + payload


def read_exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_frame(link: socket.socket) -> bytes:
    return read_exactly(link, struct.unpack(">i", read_exactly(link, 4))[0])


class EchoBroker:
    """Answers each request, in order, with its correlation id and its body; keeps what came, by connection."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.came: list[tuple[int, int, bytes]] = []  # connection, correlation id, body
        self.closed: set[int] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=self._serve, args=(number, link), daemon=True).start()

    def _serve(self, number: int, link: socket.socket) -> None:
        with link:
            try:
                while True:
                    payload = read_frame(link)
                    correlation = struct.unpack_from(">i", payload, 4)[0]
                    self.came.append((number, correlation, payload[14:]))
                    answer = struct.pack(">i", correlation) + payload[14:]
                    link.sendall(struct.pack(">i", len(answer)) + answer)
            except (EOFError, OSError):
                self.closed.add(number)

    def correlations(self) -> list[int]:
        return [correlation for _, correlation, _ in self.came]


class Client:
    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, key: int, correlation: int, body: bytes = b"") -> None:
        self.link.sendall(request(key, correlation, body))

    def answer(self) -> int:
        return struct.unpack_from(">i", read_frame(self.link))[0]

    def is_reset(self) -> bool:
        try:
            return self.link.recv(1) == b""
        except ConnectionResetError:
            return True

    def has_nothing(self) -> bool:
        """A request that no rule is for goes through and back: had there been an answer before, it would come first."""
        self.send(99, 9999)
        return self.answer() == 9999


def is_refused(port: int) -> bool:
    """Whether a connection is reset, at once or while it is being made."""
    try:
        return Client(port).is_reset()
    except ConnectionResetError:
        return True


@pytest.fixture
def echo() -> Iterator[EchoBroker]:
    broker = EchoBroker()
    yield broker
    broker.server.close()


@pytest.fixture
def proxy(echo: EchoBroker) -> Iterator[FrameProxy]:
    with FrameProxy(free_port(), lambda: echo.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FrameProxy) -> Iterator[Client]:
    client = Client(proxy.port)
    yield client
    client.link.close()


def test_proxy_without_rules_passes_all_and_knows_which_answer_is_whose(client, proxy, echo):
    for correlation in range(50):
        client.send(END_TXN if correlation % 2 else PRODUCE, correlation, b"x" * 1000)
    assert [client.answer() for _ in range(50)] == list(range(50))
    assert echo.correlations() == list(range(50))
    answers = proxy.frames(END_TXN, RESPONSE)
    assert [frame.correlation_id for frame in answers] == list(range(1, 50, 2))
    assert {(frame.api_version, frame.client_id) for frame in answers} == {(1, "test")}


def test_proxy_held_request_waits_with_all_behind_it_until_released(client, proxy, echo):
    rule = proxy.add(Rule(END_TXN, HOLD))
    client.send(PRODUCE, 1)
    client.send(END_TXN, 2)
    client.send(PRODUCE, 3)
    assert rule.wait().correlation_id == 2
    assert client.answer() == 1 and echo.correlations() == [1]
    rule.release()
    assert (client.answer(), client.answer()) == (2, 3)
    assert echo.correlations() == [1, 2, 3]


def test_proxy_held_request_reaches_the_broker_after_its_client_was_reset(client, proxy, echo):
    rule = proxy.add(Rule(END_TXN, HOLD))
    client.send(PRODUCE, 1)
    assert client.answer() == 1
    client.send(END_TXN, 2)
    rule.wait()
    rule.cut_client()
    assert client.is_reset()
    again = Client(proxy.port)
    again.send(END_TXN, 2)
    assert again.answer() == 2
    assert echo.closed == set(), "the broker's side of the held connection must stay"
    rule.release()
    until("the held copy arrives", lambda: echo.correlations() == [1, 2, 2])
    assert [connection for connection, _, _ in echo.came] == [1, 2, 1]
    until("its answer was seen", lambda: proxy.frames(END_TXN, RESPONSE, "swallowed"))
    until("and its connection ends", lambda: echo.closed == {1})


def test_proxy_request_held_aside_is_overtaken(client, proxy, echo):
    rule = proxy.add(Rule(END_TXN, HOLD_ASIDE))
    client.send(END_TXN, 1)
    client.send(PRODUCE, 2)
    assert client.answer() == 2
    rule.release()
    assert client.answer() == 1
    assert echo.correlations() == [2, 1]


def test_proxy_held_answer_waits_while_the_broker_has_done_its_work(client, proxy, echo):
    rule = proxy.add(Rule(END_TXN, HOLD, RESPONSE))
    client.send(END_TXN, 1)
    client.send(PRODUCE, 2)
    assert rule.wait().side == RESPONSE
    until("the broker has both", lambda: echo.correlations() == [1, 2])
    assert not proxy.frames(PRODUCE, RESPONSE)
    rule.release()
    assert (client.answer(), client.answer()) == (1, 2)


def test_proxy_dropped_request_never_arrives_and_the_connection_lives(client, proxy, echo):
    proxy.add(Rule(END_TXN, DROP))
    client.send(END_TXN, 1)
    assert client.has_nothing()
    assert echo.correlations() == [9999]


def test_proxy_dropped_answer_was_still_worked_for(client, proxy, echo):
    proxy.add(Rule(END_TXN, DROP, RESPONSE))
    client.send(END_TXN, 1)
    assert client.has_nothing()
    assert echo.correlations() == [1, 9999]


def test_proxy_duplicated_request_arrives_twice_and_is_answered_once(client, proxy, echo):
    proxy.add(Rule(END_TXN, DUPLICATE))
    client.send(END_TXN, 1)
    assert client.answer() == 1
    assert client.has_nothing()
    assert echo.correlations() == [1, 1, 9999]


def test_proxy_cut_request_resets_the_client_and_does_not_arrive(client, proxy, echo):
    proxy.add(Rule(END_TXN, CUT))
    client.send(PRODUCE, 1)
    assert client.answer() == 1
    client.send(END_TXN, 2)
    assert client.is_reset()
    until("the broker's side ends too", lambda: echo.closed == {1})
    assert echo.correlations() == [1]


def test_proxy_cut_answer_resets_the_client_after_the_work(client, proxy, echo):
    proxy.add(Rule(END_TXN, CUT, RESPONSE))
    client.send(END_TXN, 1)
    assert client.is_reset()
    assert echo.correlations() == [1]


def test_proxy_rule_skips_counts_and_asks_the_predicate(client, proxy, echo):
    rule = proxy.add(Rule(END_TXN, DROP, skip=1, count=2, when=lambda frame: frame.correlation_id % 2 == 0))
    for correlation in range(10):
        client.send(END_TXN, correlation)
    assert [client.answer() for _ in range(8)] == [0, 1, 3, 5, 6, 7, 8, 9]
    assert [frame.correlation_id for frame in rule.hits] == [2, 4]


def test_proxy_cleared_rules_release_what_they_held(client, proxy, echo):
    rule = proxy.add(Rule(END_TXN, HOLD))
    client.send(END_TXN, 1)
    rule.wait()
    proxy.clear()
    assert client.answer() == 1
    client.send(END_TXN, 2)
    assert client.answer() == 2


def test_proxy_cut_some_resets_connections_and_new_ones_work(client, proxy, echo):
    client.send(PRODUCE, 1)
    assert client.answer() == 1
    assert proxy.cut_some() == 1
    assert client.is_reset()
    again = Client(proxy.port)
    again.send(PRODUCE, 2)
    assert again.answer() == 2


def test_proxy_broker_that_is_away_looks_like_a_reset_and_comes_back(echo):
    ports = [free_port()]
    with FrameProxy(free_port(), lambda: ports[0]) as proxy:
        assert is_refused(proxy.port)
        ports[0] = echo.port
        again = Client(proxy.port)
        again.send(PRODUCE, 1, b"body")
        assert again.answer() == 1
    assert echo.came == [(1, 1, b"body")]
    assert [frame.payload for frame in proxy.frames(PRODUCE, REQUEST)] == [b""], "payloads of records are not kept"


def test_proxy_whose_broker_answers_out_of_order_fails_its_test(echo):
    proxy = FrameProxy(free_port(), lambda: liar.getsockname()[1])
    liar = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(AssertionError, match="not in order"), proxy:
        client = Client(proxy.port)
        client.send(PRODUCE, 1)
        link, _ = liar.accept()
        read_frame(link)
        link.sendall(struct.pack(">ii", 4, 77))
        assert client.is_reset()
    liar.close()
