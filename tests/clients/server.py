"""A model service that fails in the ways that OpenRouter is known for, one way a model.

    with Service() as service:
        ...  # POST {"model": "row/empty", ...} to service.url("run-1") + "/chat/completions"
        service.requests("run-1")

The model `row/NAME` gets what the row NAME says; `row/good` is one that works. Every run has an address of its own, so that
requests are counted where they arrive.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = "The sea is salty because rivers carry salt into it."
PART = "The sea is salty bec"
WHITE_S, HELD_S = 8.0, 40.0
ERROR = {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "Row"}}
COMMON = {"id": "gen-1", "created": 1, "model": "row/x"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.counts[self.path.split("/")[1]] += 1
        row = ROWS_BY_NAME[body["model"].removeprefix("row/")]
        try:
            row.behave(self, body)
        except OSError:
            self.close_connection = True  # the client has gone

    def head(self, status: int, kind: str, **more: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)

    def whole(self, body: Any, status: int = 200, **more: str) -> None:
        data = json.dumps(body).encode()
        self.head(status, "application/json", content_length=str(len(data)), **more)
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind: str) -> None:
        self.head(200, kind, transfer_encoding="chunked")
        self.end_headers()

    def chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, content: Any) -> None:
        self.chunk(f"data: {content if isinstance(content, str) else json.dumps(content)}\n\n")

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.counts: Counter[str] = Counter()

    def handle_error(self, *_: object) -> None:
        """Clients that go away are part of the game."""


def answer(content: str | None, usage: dict[str, int] = USAGE, **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", **choice}]
    # OpenRouter's own client insists on the fingerprint here, and on its absence in a stream.
    return {**COMMON, "object": "chat.completion", "system_fingerprint": None, "choices": choices, "usage": usage}


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {**COMMON, "object": "chat.completion.chunk", "choices": [choice]}


def good(x: _Handler, body: dict[str, Any]) -> None:
    if not body.get("stream"):
        x.whole(answer(GOOD))
        return
    x.begin("text/event-stream")
    for word in GOOD.split(" "):
        x.event(delta(word if word == "The" else " " + word))
    x.event(delta("", "stop"))
    x.event("[DONE]")
    x.end()


def white(x: _Handler, _: dict[str, Any]) -> None:
    x.begin("application/json")
    end = time.monotonic() + WHITE_S
    while time.monotonic() < end:
        x.chunk(" ")
        time.sleep(0.25)
    x.chunk(json.dumps(answer(GOOD)))
    x.end()


def top_error(x: _Handler, _: dict[str, Any]) -> None:
    x.whole({"error": ERROR, "user_id": "user_1"})


def choice_error(x: _Handler, _: dict[str, Any]) -> None:
    x.whole(answer(PART, error=ERROR, finish_reason="error"))


def no_choices(x: _Handler, _: dict[str, Any]) -> None:
    x.whole({**answer(GOOD), "choices": []})


def no_content(x: _Handler, _: dict[str, Any]) -> None:
    x.whole(answer(None, {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}))


def limited(x: _Handler, _: dict[str, Any]) -> None:
    x.whole({"error": {"code": 429, "message": "Rate limit exceeded"}}, 429, retry_after="1")


def bad_gateway(x: _Handler, _: dict[str, Any]) -> None:
    x.whole({"error": ERROR}, 502)


def stuck(x: _Handler, body: dict[str, Any]) -> None:
    x.begin("text/event-stream" if body.get("stream") else "application/json")
    x.connection.settimeout(HELD_S)
    x.rfile.peek(1)  # until the client goes


def cut(x: _Handler, _: dict[str, Any]) -> None:
    x.begin("text/event-stream")
    for word in PART.split(" "):
        x.event(delta(word if word == "The" else " " + word))
    x.end()


def event_error(x: _Handler, _: dict[str, Any]) -> None:
    x.begin("text/event-stream")
    for word in PART.split(" "):
        x.event(delta(word if word == "The" else " " + word))
    error = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    x.event({**delta(""), "error": {"code": "server_error", "message": "Provider disconnected"}, "choices": [error]})
    x.event("[DONE]")
    x.end()


@dataclass(frozen=True)
class Row:
    name: str
    says: str
    behave: Callable[[_Handler, dict[str, Any]], None]
    is_stream: bool = False  # the clients ask for a stream


ROWS = (
    Row("good", "a good answer", good),
    Row("good-stream", "a good answer as a stream", good, True),
    Row("white", f"white space for {WHITE_S:g} s, then a good answer", white),
    Row("top-error", "200 with an error 502 in the body", top_error),
    Row("choice-error", "200 with an error in the choice, and a part of an answer", choice_error),
    Row("no-choices", "200 with `choices: []`", no_choices),
    Row("no-content", "200 with content null and no token", no_content),
    Row("limited", "429 with Retry-After: 1, always", limited),
    Row("bad-gateway", "502, always", bad_gateway),
    Row("stuck", "200, then nothing after the headers", stuck),
    Row("cut", "a stream that ends in order, but without finish_reason and [DONE]", cut, True),
    Row("event-error", "a stream with an error event behind a part of an answer", event_error, True),
)
ROWS_BY_NAME = {row.name: row for row in ROWS}


class Service:
    """Serves on 127.0.0.1 and a free port."""

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def url(self, run: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{run}/api/v1"

    def requests(self, run: str) -> int:
        return self._server.counts[run]

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
