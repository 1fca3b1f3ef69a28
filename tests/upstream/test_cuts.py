"""A good answer, cut at every byte: no beginning of it is ever taken for the whole. It is whole when the stream has
told its finish reason or [DONE], and a JSON body when its last brace has come."""

from __future__ import annotations

import json
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Certificates
from exchange import Behaviour, Script
from hostile_http1 import Http1Server
from hostile_http2 import Http2Server
from matrix_http import CLOSE, FIN, RST, raw
from responses import BREAK_OFF, DONE, END, FINISH, RESET, Pause, event, respond, whole, word

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import upstream_tool  # noqa: E402

STREAM = word("Cut me — ") + word("if you can.") + FINISH + event({"choices": [], "usage": {"total_tokens": 15}}) + DONE
TOLD = len(STREAM.partition(FINISH)[0].encode()) + len(FINISH.strip())  # up to here of it nothing may be believed
JSON_BODY = json.dumps(whole()).encode()
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
TO_THE_END = EVENTS_HEAD + b"connection: close\r\n\r\n"
IN_CHUNKS = EVENTS_HEAD + b"transfer-encoding: chunked\r\n\r\n"
WITH_LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(JSON_BODY)


# No clock runs out, however busy the machine is.
PATIENCE = {"connect_ms": 30_000, "first_ms": 40_000, "stall_ms": 40_000, "deadline_ms": 60_000}


@dataclass(frozen=True)
class Answer:
    data: bytes
    told: int  # with fewer bytes it must not be an answer
    firm: int  # with so many it has to be one, when they arrive


def in_chunks(head: bytes, body: bytes, size: int = 50) -> Answer:
    """The finish reason ends within a chunk, wherever that is."""
    data, told, firm = head, 0, 0
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        data += b"%x\r\n" % len(piece)
        told = told or (len(data) + TOLD - at if at + len(piece) >= TOLD else 0)
        firm = firm or (len(data) + TOLD + 2 - at if at + len(piece) >= TOLD + 2 else 0)
        data += piece + b"\r\n"
    return Answer(data + b"0\r\n\r\n", told, firm)


def in_one(head: bytes, body: bytes, told: int, firm: int) -> Answer:
    return Answer(head + body, len(head) + told, len(head) + firm)


STREAM_IN_CHUNKS = in_chunks(IN_CHUNKS, STREAM.encode())
STREAM_TO_THE_END = in_one(TO_THE_END, STREAM.encode(), TOLD, TOLD + 2)
# White space behind it may be missing, so the last brace is all it takes; its length is told.
WHOLE_JSON = in_one(WITH_LENGTH, JSON_BODY, len(JSON_BODY), len(JSON_BODY))
DATA_FRAMES = in_one(b"", STREAM.encode(), TOLD, TOLD + 2)


def of_http_1(answer: Answer, then: str) -> Callable[[int], Behaviour]:
    return lambda at: raw(answer.data[:at], then=then)


def of_http_2(then: str) -> Callable[[int], Behaviour]:
    # What is sent just before RST or FIN may be dropped by libcurl, hence the pause where it counts.
    return lambda at: respond(DATA_FRAMES.data[:at], *([] if then == END else [Pause(1)]), then=then)


# An answer, how it is cut at a byte, whether all bytes before the cut surely arrive, and the server's means.
KINDS: dict[str, tuple[Answer, Callable[[int], Behaviour], bool, str]] = {
    "chunks, FIN": (STREAM_IN_CHUNKS, of_http_1(STREAM_IN_CHUNKS, FIN), True, "plain"),
    "chunks, RST": (STREAM_IN_CHUNKS, of_http_1(STREAM_IN_CHUNKS, RST), False, "plain"),
    "until it closes, FIN": (STREAM_TO_THE_END, of_http_1(STREAM_TO_THE_END, FIN), True, "plain"),
    "until it closes, RST": (STREAM_TO_THE_END, of_http_1(STREAM_TO_THE_END, RST), False, "plain"),
    "JSON with its length, FIN": (WHOLE_JSON, of_http_1(WHOLE_JSON, FIN), True, "plain"),
    "JSON with its length, RST": (WHOLE_JSON, of_http_1(WHOLE_JSON, RST), False, "plain"),
    "TLS, chunks, FIN without close_notify": (STREAM_IN_CHUNKS, of_http_1(STREAM_IN_CHUNKS, FIN), True, "TLS"),
    "TLS, until it closes, close_notify": (STREAM_TO_THE_END, of_http_1(STREAM_TO_THE_END, CLOSE), True, "TLS"),
    "TLS, until it closes, FIN alone": (STREAM_TO_THE_END, of_http_1(STREAM_TO_THE_END, FIN), True, "TLS"),
    "HTTP/2, END_STREAM": (DATA_FRAMES, of_http_2(END), True, "HTTP/2"),
    "HTTP/2, RST_STREAM": (DATA_FRAMES, of_http_2(RESET), False, "HTTP/2"),
    "HTTP/2, FIN": (DATA_FRAMES, of_http_2(BREAK_OFF), False, "HTTP/2"),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", autouse=True)
def report(tables: list[str]) -> Iterator[list[str]]:
    lines: list[str] = []
    yield lines
    tables.append("answers cut at every byte\n" + "\n".join(lines))


@pytest.mark.parametrize("kind", KINDS)
def test_answer_cut_at_every_byte_is_never_taken_for_the_whole(
    kind: str, certificates: Certificates, report: list[str]
) -> None:
    answer, cut, arrives, means = KINDS[kind]
    script = Script(default=())
    script.steps = {at: (cut(at),) for at in range(len(answer.data) + 1)}
    tls: ssl.SSLContext | None = None if means == "plain" else certificates.context("good")
    options = {} if tls is None else {"ca_file": certificates.authority, "http": "2" if means == "HTTP/2" else "1.1"}
    orders = [{"model": "m", "chat": f"chat-{at}-"} for at in script.steps]
    with Http2Server(script, tls) if means == "HTTP/2" and tls else Http1Server(script, tls) as server:
        # One stream a connection, for a connection that is cut takes its other streams with it.
        done = upstream_tool.run(server.url, *orders, concurrency=16, streams=1, threads=2, **PATIENCE, **options)
    assert not server.errors
    reasons = [result["reason"] for result in done.results]
    too_soon = [at for at, reason in enumerate(reasons) if reason == "" and at < answer.told]
    refused = [at for at, reason in enumerate(reasons) if reason != "" and at >= answer.firm and arrives]
    report.append(f"  {kind}: {len(reasons)} cuts, {dict(Counter(reasons))}")
    assert too_soon == []
    assert refused == []
    assert all(result["reason"] in ("", "stream_broken", "upstream_invalid") for result in done.results)
