"""A model service that knows its keys, and that sends them back where they do not belong.

    with EchoServer({"sk-or-1"}) as server:
        ...  # POST /chat/completions whose last message is a JSON text such as {"do": "answer"}
        server.keys = {"sk-or-2"}        # from now on the other one is refused with 401

`do` names a function below; without it the answer is a good one that holds `text`. There `KEY` stands for the key that the
request carried, and `AUTH` for its whole Authorization header; `as` names one of canary.ENCODINGS that the text is then
written in. What arrived is in `seen`.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import canary  # noqa: E402

HELD_S = 60.0


@dataclass(frozen=True)
class Seen:
    path: str
    key: str
    status: int
    order: dict[str, Any]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        status = 200 if self.is_known() else 401
        self.note(status, {})
        self.send_json(status, {"data": {"label": self.key()}} if status == 200 else self.refusal())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        order = self.order_of(body)
        if not self.is_known():
            self.note(401, order)
            self.send_json(401, self.refusal())
            return
        self.note(200, order)
        DOES[order.get("do", "answer")](self, order)

    def order_of(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body["messages"][-1]["content"]
        order = json.loads(text) if text.startswith("{") else {"text": text}
        said = order.get("text", "").replace("KEY", self.key()).replace("AUTH", self.headers["authorization"])
        encode = canary.ENCODINGS[order.get("as", "raw")]
        return {**order, "text": encode(said.encode()).decode("latin-1")}

    def key(self) -> str:
        return (self.headers["authorization"] or "").removeprefix("Bearer ")

    def is_known(self) -> bool:
        return self.server.owner.keys is None or self.key() in self.server.owner.keys

    def refusal(self) -> dict[str, Any]:
        text = f"No auth credentials found for {self.headers['authorization']}"
        return {"error": {"code": 401, "message": text, "metadata": {"raw": text}}, "user_id": self.key()}

    def note(self, status: int, order: dict[str, Any]) -> None:
        self.server.owner.seen.append(Seen(self.path, self.key(), status, order))

    def send_json(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(data))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events: list[Any], **headers: str) -> None:
        text = "".join(f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n" for each in events)
        self.send_json(200, text.encode(), **{"content_type": "text/event-stream", **headers})

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    owner: EchoServer


def whole(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "gen-1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}], **fields}


def answer(x: _Handler, order: dict[str, Any]) -> None:
    x.send_json(200, whole({"role": "assistant", "content": order["text"]}))


def echo(x: _Handler, order: dict[str, Any]) -> None:
    """The key in every member of an answer that is not a stream, and in its headers."""
    text = order["text"]
    call = {"id": text, "type": "function", "function": {"name": text, "arguments": json.dumps({text: text})}, text: text}
    message = {"role": "assistant", "content": text, "refusal": text, "reasoning": text, "tool_calls": [call],
               "annotations": [{"type": "url_citation", "url": text}], "images": [{"image_url": {"url": text}}]}
    x.send_json(200, whole(message, id=text, model=text, provider=text, usage={"prompt_tokens": 1, text: {text: [text]}}),
                x_generation_id=text, x_echo=text, retry_after=text)


def pieces(x: _Handler, order: dict[str, Any]) -> None:
    """The text in a stream, cut at `at`: content, reasoning, and the arguments of a tool call."""
    text, at = order["text"], order.get("at", 1)
    events: list[Any] = []
    for piece in (text[:at], text[at:]):
        call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": piece}}
        events.append({"id": "gen-1", "choices": [{"delta": {"content": piece, "reasoning": piece, "tool_calls": [call]}}]})
    events.append({"choices": [{"delta": {}, "finish_reason": text}]})
    x.send_events([*events, "[DONE]"], x_echo=text)


def event_error(x: _Handler, order: dict[str, Any]) -> None:
    error = {"code": order.get("code", 502), "message": order["text"], "metadata": {"raw": order["text"]}}
    x.send_events([{"choices": [{"delta": {"content": order["text"]}}]}, {"error": error, "choices": []}])


def error(x: _Handler, order: dict[str, Any]) -> None:
    """An error that quotes the text wherever it can: any member, any header."""
    text = order["text"]
    body = {"code": order.get("code", text), "message": text, "type": text,
            "metadata": {"raw": text, "error_type": text, "provider_name": text, "reasons": [text]}}
    x.send_json(order.get("status", 500), {"error": body, "user_id": text, "choices": [{"error": body}]},
                x_echo=text, retry_after=text, www_authenticate=text, x_generation_id=text, location=text)


def raw(x: _Handler, order: dict[str, Any]) -> None:
    x.send_json(order.get("status", 200), order["text"].encode(), content_type=order.get("type", "text/html"))


def hold(x: _Handler, order: dict[str, Any]) -> None:
    x.server.owner.released.wait(HELD_S)
    answer(x, order)


DOES: dict[str, Callable[[_Handler, dict[str, Any]], None]] = {
    each.__name__: each for each in (answer, echo, pieces, event_error, error, raw, hold)
}


class EchoServer:
    """Serves on 127.0.0.1 and a free port. `keys` are those it takes; None: any."""

    def __init__(self, keys: set[str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.keys, self.tls = keys, tls
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_port}/api/v1"

    def chats(self, status: int | None = None) -> list[Seen]:
        return [each for each in self.seen if each.path.endswith("/completions") and status in (None, each.status)]

    def probes(self, status: int | None = None) -> list[Seen]:
        return [each for each in self.seen if each.path.endswith("/key") and status in (None, each.status)]

    def __enter__(self) -> EchoServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
