"""The service's response cache: it is asked for when the settings say so, and a repeat has the same bytes.

The cache knows a request by key, model and the bytes of the body, so a call that a crash cut off costs nothing when it
is made again, if its body is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Iterator

import harness
import pytest
from harness import chat, until
from planned_server import Planned, ScriptedServer
from upstream_tool import run

CACHE, CACHE_TTL = "x-openrouter-cache", "x-openrouter-cache-ttl"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.mark.parametrize("ttl_s", [1, 120, 86400])
def test_cache_is_asked_for_with_its_ttl_on_every_chat(server: ScriptedServer, ttl_s: int) -> None:
    run(server.url, {"behaviour": "normal"}, calls=2, cache_ttl=ttl_s)
    assert [(each.headers.get(CACHE), each.headers.get(CACHE_TTL)) for each in server.requests] == [
        ("true", str(ttl_s))] * 2


def test_cache_is_not_spoken_of_without_a_ttl_nor_by_the_probe_of_the_key(server: ScriptedServer) -> None:
    run(server.url, {"behaviour": "normal"}, cache_ttl=0)
    run(server.url, probe=True, cache_ttl=120)
    assert [request.method for request in server.requests] == ["POST", "GET"]
    for request in server.requests:
        assert not [name for name in request.headers if "cache" in name]


def test_repeats_of_a_chat_by_one_process_and_by_the_next_have_equal_bytes(make_worker, producer, replies) -> None:
    body = chat("r1", "c1", 'Grüße, "quoted" \\ and \u2028') | {
        "temperature": 0.25, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "provider": {"sort": "latency"}, "metadata": {"b": "1", "a": "2"}, "user": "u",
    }
    broken = {"behaviour": "cut", "at": 0}
    with Planned(broken, {"behaviour": "held"}, broken) as server:
        worker = make_worker(server.url, openrouter__cache_ttl_s=120, chat__deadline_ms=30000,
                             openrouter__first_token_timeout_ms=20000, worker__drain_ms=31000,
                             retry__first_content_share=1.0).start()
        producer.send_all([body])
        until("the repeat is held", lambda: len(server.requests) == 2)
        worker.kill()
        worker.start()
        replies.wait(1, 30)
        assert [reply.body["outcome"] for reply in replies.all] == ["answered"]
        chats = server.chats
    assert len(chats) == 4
    assert len({request.body for request in chats}) == 1
    assert {(request.headers[CACHE], request.headers[CACHE_TTL]) for request in chats} == {("true", "120")}
    # All that the cache's own key is made of, and what else is sent beside the body.
    assert len({tuple(sorted(request.headers.items())) for request in chats}) == 1
    assert harness.KEY in chats[0].headers["authorization"]
