"""A client of the stand-in OpenRouter, and the views of its answers that tests need."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from harness import until
from replay_tool import KEY

FIRST, SECOND = "stand-in/first", "stand-in/second"


class Answer:
    """One whole HTTP answer, and the views of it that the tests need."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The blocks of an event stream, each ended by an empty line."""
        text = self.body.decode()
        assert text.endswith("\n\n")
        return text[:-2].split("\n\n")

    @property
    def chunks(self) -> list[dict]:
        data = [event.removeprefix("data: ") for event in self.events if event.startswith("data: ")]
        return [json.loads(item) for item in data if item != "[DONE]"]

    @property
    def deltas(self) -> list[dict]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def content(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)


class Client:
    """A stand-in and the requests that are made to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.address = urlsplit(url).netloc

    def request(self, method: str, path: str, body: bytes | None = None, key: str | None = KEY) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def chat(self, text: str, model: str = FIRST, key: str | None = KEY, **fields) -> Answer:
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}], **fields}
        return self.request("POST", "/api/v1/chat/completions", json.dumps(body).encode(), key)


def wait_for(condition, seconds: float = 10):
    """The condition's first true value; asks again until then."""
    return until("the condition comes true", condition, seconds)
