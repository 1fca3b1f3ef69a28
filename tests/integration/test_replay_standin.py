"""The stand-in OpenRouter by HTTP, as any client meets it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator

import aiohttp
import pytest
from replay_tool import KEY, journal, sandbox
from standin_client import FIRST, SECOND, Answer, Client

COMMENT = ": OPENROUTER PROCESSING"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with sandbox("--only", "openrouter") as addresses:
        yield Client(addresses["OPENROUTER_BASE_URL"])


# Answers


def test_stream_has_openrouters_shape(client) -> None:
    answer = client.chat("Hello")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.events[0] == COMMENT
    assert answer.events[-1] == "data: [DONE]"
    for chunk in answer.chunks:
        assert chunk["id"] == answer.headers["x-generation-id"]
        assert chunk["id"].startswith("gen-")
        assert (chunk["object"], chunk["model"], chunk["provider"]) == ("chat.completion.chunk", FIRST, "Stand-in")
    reasons = [choice["finish_reason"] for chunk in answer.chunks for choice in chunk["choices"]]
    assert reasons == [None] * 20 + ["stop"]


def test_stream_ends_with_usage_and_cost(client) -> None:
    last = client.chat("Hello").chunks[-1]
    assert last["choices"] == []
    usage = last["usage"]
    assert usage["prompt_tokens"] > 0 and usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["cost"] < 0.01


def test_answer_depends_on_text_and_model_alone(client) -> None:
    first = client.chat("What is it?")
    again = client.chat("What is it?", temperature=0.3, max_tokens=7)
    assert first.content == again.content
    assert first.headers["x-generation-id"] != again.headers["x-generation-id"]
    assert client.chat("What is it?", SECOND).content != first.content
    assert client.chat("What else is it?").content != first.content
    assert first.content.startswith("You wrote: What is it? | stand-in/first answers: ")


def test_plain_answer_has_the_same_content(client) -> None:
    answer = client.chat("Plain, please", stream=False)
    assert answer.headers["content-type"] == "application/json"
    choice = answer.json["choices"][0]
    assert choice["message"]["content"] == client.chat("Plain, please").content
    assert (choice["finish_reason"], answer.json["object"]) == ("stop", "chat.completion")
    assert answer.json["usage"]["cost"] > 0


@pytest.mark.parametrize("text", ["käse 🧀 漢字 " * 9, "\"quoted\" \\ and \n newlines \t tabs", ""])
def test_any_text_comes_back_as_valid_json(client, text) -> None:
    answer = client.chat(text)
    assert answer.status == 200
    # It is echoed up to 120 bytes, without leading spaces and never in the middle of a character.
    echo = answer.content.removeprefix("You wrote: ").rpartition(" | ")[0]
    assert text.startswith(echo)
    assert len(echo.encode()) >= min(len(text.encode()), 100)


def test_last_text_part_of_the_last_user_message_counts(client) -> None:
    messages = [
        {"role": "user", "content": "old"},
        {"role": "assistant", "content": "older"},
        {"role": "user", "content": [{"type": "text", "text": "first part"}, {"type": "text", "text": "last part"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert "You wrote: last part |" in client.chat("", messages=messages).content


def test_tokens_count_all_messages(client) -> None:
    short = client.chat("x" * 40).chunks[-1]["usage"]["prompt_tokens"]
    history = [{"role": "user", "content": "y" * 400}, {"role": "user", "content": "x" * 40}]
    assert client.chat("", messages=history).chunks[-1]["usage"]["prompt_tokens"] == short + 104


def test_one_connection_serves_many_requests(client) -> None:
    connection = http.client.HTTPConnection(client.address, timeout=30)
    body = json.dumps({"model": FIRST, "stream": True, "messages": [{"role": "user", "content": "again"}]})
    sockets = set()
    for _ in range(5):
        connection.request("POST", "/api/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"})
        assert connection.getresponse().read().endswith(b"data: [DONE]\n\n")
        sockets.add(connection.sock.getsockname())
    connection.close()
    assert len(sockets) == 1


# Refusals


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_is_401(client, key) -> None:
    answer = client.chat("Hello", key=key)
    assert (answer.status, answer.json["error"]["code"]) == (401, 401)


def test_other_key_is_401_when_one_is_set() -> None:
    with sandbox("--only", "openrouter", "--key", "the-one") as addresses:
        mine = Client(addresses["OPENROUTER_BASE_URL"])
        assert mine.chat("Hello", key="the-one").status == 200
        assert mine.chat("Hello", key="the-one-and-more").status == 401
        assert mine.request("GET", "/api/v1/key", key="another").status == 401


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"messages":[{"role":"user","content":"x"}]}', b'{"model":"a"}', b'{"model":"a","messages":[]}']
)
def test_wrong_body_is_400(client, body) -> None:
    answer = client.request("POST", "/api/v1/chat/completions", body)
    assert (answer.status, answer.json["error"]["code"]) == (400, 400)


def test_too_large_body_is_413(client) -> None:
    assert client.chat("x" * (9 << 20)).status == 413


def test_unknown_path_is_404(client) -> None:
    assert client.request("GET", "/api/v1/nothing").status == 404
    assert client.request("GET", "/api/v1/chat/completions").status == 404


def test_side_endpoints_answer(client) -> None:
    assert client.request("GET", "/api/v1/key").json["data"]["limit"] is None
    models = client.request("GET", "/api/v1/models", key=None).json["data"]
    assert [model["id"] for model in models] == [FIRST, SECOND]
    assert client.request("GET", "/healthz", key=None).status == 200


# Scripts


def test_429_once_with_retry_after_then_answer(client) -> None:
    text = "A [[429 once retry-after 1]]"
    refused, answered, again = client.chat(text), client.chat(text), client.chat(text)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.json["error"] == {
        "code": 429,
        "message": "Rate limit exceeded",
        "metadata": {"error_type": "rate_limit_exceeded"},
    }
    assert (answered.status, again.status) == (200, 200)
    assert answered.content.startswith("You wrote: A ")
    assert client.chat("B [[429 once retry-after 1]]").status == 429, "once is counted for each text"


def test_times_counts_only_the_models_requests(client) -> None:
    text = "[[times-test]] [[502 times 2 model stand-in/second]]"
    assert client.chat(text, FIRST).status == 200
    assert [client.chat(text, SECOND).status for _ in range(3)] == [502, 502, 200]


def test_first_behaviour_that_is_not_used_up_is_served(client) -> None:
    text = "[[500 once]] [[503 once]] [[429 model nobody]] [[empty]]"
    assert [client.chat(text).status for _ in range(3)] == [500, 503, 200]
    assert client.chat(text).content == ""


def test_every_status_can_be_asked_for(client) -> None:
    for status in (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529):
        answer = client.chat(f"[[status {status}]]")
        assert (answer.status, answer.json["error"]["code"]) == (status, status)
        assert answer.json["error"]["metadata"]["error_type"]
    answer = client.chat("[[522]]")
    assert answer.status == 522 and answer.headers["content-type"].startswith("text/html")


def test_error_type_can_be_chosen(client) -> None:
    answer = client.chat("[[400 type context_length_exceeded]]")
    assert answer.json["error"]["metadata"]["error_type"] == "context_length_exceeded"


def test_moderation_quotes_the_user_as_openrouter_does(client) -> None:
    answer = client.chat("private words [[403]]")
    assert "private words" in answer.json["error"]["metadata"]["flagged_input"]


def test_tool_call_comes_in_fragments(client) -> None:
    tools = [{"type": "function", "function": {"name": "find_train", "parameters": {}}}]
    answer = client.chat("Paris? [[tool]]", tools=tools)
    fragments = [delta["tool_calls"][0] for delta in answer.deltas if "tool_calls" in delta]
    assert fragments[0]["id"].startswith("call_") and fragments[0]["function"]["name"] == "find_train"
    assert len(fragments) > 5 and all("id" not in fragment for fragment in fragments[1:])
    arguments = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert json.loads(arguments) == {"question": "Paris? "}
    assert answer.chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    plain = client.chat("Paris? [[tool]]", tools=tools, stream=False).json["choices"][0]["message"]
    assert plain["content"] is None
    assert plain["tool_calls"][0]["id"] == fragments[0]["id"]
    assert plain["tool_calls"][0]["function"] == {"name": "find_train", "arguments": arguments}


def test_refusal_comes_in_its_own_field(client) -> None:
    answer = client.chat("[[refusal]]")
    assert answer.content == ""
    assert "".join(delta.get("refusal") or "" for delta in answer.deltas) == "I would rather not answer that."


def test_empty_answer_has_no_content(client) -> None:
    answer = client.chat("[[empty]]")
    assert (answer.status, answer.content) == (200, "")
    assert answer.chunks[0]["choices"][0]["finish_reason"] == "stop"
    assert answer.chunks[-1]["usage"]["completion_tokens"] == 0


def test_error_inside_200_ends_the_stream_without_done(client) -> None:
    answer = client.chat("[[error]]")
    assert answer.status == 200 and answer.content
    assert answer.chunks[-1]["error"]["code"] == 502
    assert "[DONE]" not in answer.body.decode()
    plain = client.chat("[[error]]", stream=False)
    assert plain.status == 200 and plain.json["error"]["code"] == 502


def test_garbage_is_html_behind_200(client) -> None:
    answer = client.chat("[[garbage]]")
    assert answer.status == 200 and b"<html>" in answer.body


@pytest.mark.parametrize("stream", [True, False])
def test_cut_answer_breaks_off(client, stream) -> None:
    with pytest.raises(http.client.IncompleteRead) as broken:
        client.chat("[[cut]]", stream=stream)
    assert broken.value.partial and b"[DONE]" not in broken.value.partial


@pytest.mark.parametrize("text", ["[[429 twice]]", "[[latency]]", "[[status 200]]", "[[deltas 0]]", "[[503 model]]"])
def test_script_with_a_mistake_is_400(client, text) -> None:
    answer = client.chat(text)
    assert (answer.status, answer.json["error"]["message"]) == (400, "The script in the chat has a mistake.")


@pytest.mark.parametrize("text", ["[[1, 2], [3]]", "[[wikilink]]", "[[", "]] [[429", "[429]", "[[]]"])
def test_other_brackets_are_ordinary_text(client, text) -> None:
    assert client.chat(text).status == 200


# Time


def read_until(connection: socket.socket, mark: bytes, seconds: float = 20) -> bytes:
    connection.settimeout(seconds)
    got = b""
    while mark not in got:
        piece = connection.recv(65536)
        assert piece, f"closed after {got!r}"
        got += piece
    return got


def open_chat(address: str, text: str, stream: bool = True) -> socket.socket:
    """A request whose answer is read by hand."""
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    body = json.dumps({"model": FIRST, "stream": stream, "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return connection


@pytest.fixture(scope="module")
def lively() -> Iterator[Client]:
    with sandbox("--only", "openrouter", "--keepalive", "20ms") as addresses:
        yield Client(addresses["OPENROUTER_BASE_URL"])


def test_stalled_stream_sends_comments_and_no_content(lively) -> None:
    with open_chat(lively.address, "[[stall]]") as connection:
        got = read_until(connection, b"PROCESSING")
        while got.count(b"PROCESSING") < 5:
            got += read_until(connection, b"PROCESSING")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"data:" not in got


def test_stalled_plain_answer_trickles_white_space(lively) -> None:
    with open_chat(lively.address, "[[stall]]", stream=False) as connection:
        got = read_until(connection, b"\r\n\r\n")
        while got.count(b"\n         ") < 3:
            got += read_until(connection, b"\n         ")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"{" not in got


def test_hanging_request_gets_nothing_while_others_are_answered(lively) -> None:
    with open_chat(lively.address, "[[hang]]") as connection:
        for _ in range(20):
            assert lively.chat("quick").status == 200
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_slow_answer_is_whole_and_has_comments(lively) -> None:
    answer = lively.chat("[[ttft 100]] [[latency 300]] [[deltas 4]]")
    comments = [place for place, event in enumerate(answer.events) if event == COMMENT]
    first_content = next(place for place, event in enumerate(answer.events) if event.startswith("data: "))
    assert len([place for place in comments if place < first_content]) >= 2
    assert any(place > first_content for place in comments), "between deltas too"
    assert len([delta for delta in answer.deltas if delta.get("content")]) == 4
    plain = lively.chat("[[latency 100]]", stream=False)
    assert plain.body[:1] == b"\n" and plain.json["choices"]


def test_deltas_leave_at_their_times(lively) -> None:
    with open_chat(lively.address, "[[ttft 50]] [[latency 20000]] [[deltas 2]]") as connection:
        got = read_until(connection, b'"content":"You wrote')
    assert got.count(b"data: ") == 1, "the second delta is not due yet"


def test_client_that_goes_away_is_forgotten(lively) -> None:
    for _ in range(50):
        open_chat(lively.address, "[[stall]]").close()
    assert lively.chat("still there").status == 200


# Many


def test_200_at_once_are_answered_together(tmp_path) -> None:
    """All 200 are in the journal before the first is answered: nobody waits for anybody."""
    path = tmp_path / "journal"

    async def ask(session: aiohttp.ClientSession, url: str, number: int) -> str:
        body = {"model": FIRST, "stream": True, "messages": [{"role": "user", "content": f"chat {number}"}]}
        async with session.post(f"{url}/chat/completions", json=body) as answer:
            assert answer.status == 200
            return (await answer.read()).decode()

    async def ask_all(url: str) -> list[str]:
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            return await asyncio.gather(*(ask(session, url, number) for number in range(200)))

    with sandbox("--only", "openrouter", "--latency", "2000", "--journal", str(path)) as addresses:
        answers = asyncio.run(ask_all(addresses["OPENROUTER_BASE_URL"]))
    for number, answer in enumerate(answers):
        assert answer.endswith("data: [DONE]\n\n")
        content = Answer(200, {}, answer.encode()).content
        assert content.startswith(f"You wrote: chat {number} |")
    lines = journal(path)
    assert len(lines) == 200
    assert max(line["ms"] for line in lines) - min(line["ms"] for line in lines) < 2000


def test_failures_by_chance_have_their_shares_and_their_seed(tmp_path) -> None:
    def statuses(seed: str) -> list[int]:
        with sandbox("--only", "openrouter", "--fail", "429:50%,502:25%", "--seed", seed) as addresses:
            mine = Client(addresses["OPENROUTER_BASE_URL"])
            return [mine.chat(f"chat {number}").status for number in range(200)]

    first = statuses("7")
    assert 70 <= first.count(429) <= 130
    assert 25 <= first.count(502) <= 75
    assert first.count(429) + first.count(502) + first.count(200) == 200
    assert statuses("7") == first
    assert statuses("8") != first
